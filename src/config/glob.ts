/** One part of a glob: any text, any one character, or the one character itself. */
type Part = string;
const ANY = "any";
const ONE = "one";

/** Steps that one comparison of two patterns may take. */
const MOST_WORK = 1_000_000;

/**
 * A pattern for names: `*` stands for any text, `?` for any one character, and a backslash takes the next character as it
 * is. Everything else stands for itself.
 */
export class Glob {
  /** What every name that matches begins with. */
  readonly prefix: string;
  /** Whether `prefix` is the only name that matches. */
  readonly isName: boolean;
  readonly #parts: readonly Part[];

  constructor(text: string) {
    const end = text.search(/[*?\\]/);
    // Most patterns are names, or end in a star.
    const [plain, rest] = end === -1 ? [text, []] : [text.slice(0, end), parse(text.slice(end))];
    const wild = rest.findIndex((part) => part === ANY || part === ONE);
    this.isName = wild === -1;
    this.prefix = plain + (this.isName ? rest : rest.slice(0, wild)).join("");
    this.#parts = this.isName ? [] : Array.from(plain).concat(rest);
  }

  /** Whether a name matches, all of it. */
  matches(name: string): boolean {
    return this.isName ? name === this.prefix : takesAll(this.#parts, Array.from(name));
  }

  /** Whether every name that matches the other pattern matches this one too; false for very long ones. */
  covers(other: Glob): boolean {
    if (this.isName) return other.isName && other.prefix === this.prefix;
    if (!other.prefix.startsWith(this.prefix)) return false;
    const parts = other.isName ? Array.from(other.prefix) : other.#parts;
    if (this.#parts.length * parts.length > MOST_WORK) return false;
    return takesAll(spread(this.#parts), parts);
  }
}

function parse(text: string): Part[] {
  const characters = Array.from(text);
  const parts: Part[] = [];
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] ?? "";
    if (character === "*") parts.push(ANY);
    else if (character === "?") parts.push(ONE);
    else if (character === "\\" && i + 1 < characters.length) parts.push(characters[++i] ?? "");
    else parts.push(character);
  }
  return parts;
}

/** Puts an `any` around each `one` in a run with an `any`: `?*` means the same as `*?*`, and takes more apart. */
function spread(parts: readonly Part[]): Part[] {
  const spread: Part[] = [];
  let run: Part[] = [];
  const endRun = (): void => {
    const ones = run.filter((part) => part === ONE);
    spread.push(...(ones.length === run.length ? ones : [ANY, ...ones.flatMap(() => [ONE, ANY])]));
    run = [];
  };
  for (const part of parts) {
    if (part === ANY || part === ONE) run.push(part);
    else {
      endRun();
      spread.push(part);
    }
  }
  endRun();
  return spread;
}

/**
 * Whether a pattern takes all parts of a name, or of another pattern. One step back to the last `any` is enough, so the
 * time is at most the product of the lengths.
 */
function takesAll(pattern: readonly Part[], parts: readonly Part[]): boolean {
  let [at, star, resume] = [0, -1, 0];
  let i = 0;
  while (i < parts.length) {
    const part = pattern[at];
    if (part === ANY) {
      star = at;
      resume = i;
      at += 1;
    } else if (part !== undefined && (part === parts[i] || (part === ONE && parts[i] !== ANY))) {
      at += 1;
      i += 1;
    } else if (star >= 0) {
      resume += 1;
      at = star + 1;
      i = resume;
    } else return false;
  }
  while (pattern[at] === ANY) at += 1;
  return at === pattern.length;
}
