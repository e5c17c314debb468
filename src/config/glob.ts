/** One part of a glob: any text, any one character, or the character itself. */
type Part = "any" | "one" | { readonly character: string };

/**
 * A pattern for names: `*` stands for any text, `?` for any one character, and a backslash takes the next character as it
 * is. Everything else stands for itself.
 */
export class Glob {
  readonly text: string;
  readonly #parts: readonly Part[];

  constructor(text: string) {
    this.text = text;
    this.#parts = parse(text);
  }

  /** Whether a name matches, all of it. */
  matches(name: string): boolean {
    return takesAll(
      this.#parts,
      Array.from(name, (character) => ({ character })),
    );
  }

  /**
   * Whether every name that matches the other pattern matches this one too; unknown, so false, with many `*` in it, or when
   * one of them is very long.
   */
  covers(other: Glob): boolean {
    if (this.#parts.length * other.#parts.length > MOST_WORK) return false;
    for (const instance of instancesOf(other.#parts, this.#parts.length)) {
      if (!takesAll(this.#parts, instance)) return false;
    }
    return true;
  }
}

function parse(text: string): Part[] {
  const parts: Part[] = [];
  const characters = Array.from(text);
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i] ?? "";
    if (character === "*") parts.push("any");
    else if (character === "?") parts.push("one");
    else if (character === "\\" && i + 1 < characters.length) {
      i += 1;
      parts.push({ character: characters[i] ?? "" });
    } else parts.push({ character });
  }
  return parts;
}

/** More are not looked at: each doubles the work. */
const MOST_STARS = 6;
/** Of longer patterns no names are made: no queue has a name so long. */
const LONGEST = 250;
/** Steps that one comparison may take. */
const MOST_WORK = 1_000_000;

/**
 * Names that stand for all that match a pattern: each of its `*` as nothing, and as more characters than `longest`, none
 * of which is written in a pattern. Its `?` are such characters too.
 */
function* instancesOf(parts: readonly Part[], longest: number): Generator<readonly Part[], void> {
  const stars = parts.filter((part) => part === "any").length;
  if (stars > MOST_STARS || Math.max(parts.length, longest) > LONGEST) {
    yield parts;
    return;
  }
  const long = Array.from({ length: longest + 1 }, (): Part => "one");
  for (let choice = 0; choice < 2 ** stars; choice++) {
    let star = -1;
    yield parts.flatMap((part) => {
      if (part !== "any") return [part];
      star += 1;
      return Math.floor(choice / 2 ** star) % 2 === 0 ? [] : long;
    });
  }
}

/**
 * Whether a pattern matches a name. One step back to the last `*` is enough, so the time is at most the product of the
 * lengths.
 */
function takesAll(pattern: readonly Part[], name: readonly Part[]): boolean {
  let [at, star, resume] = [0, -1, 0];
  let i = 0;
  while (i < name.length) {
    const part = pattern[at];
    if (part === "any") {
      star = at;
      resume = i;
      at += 1;
    } else if (part !== undefined && takes(part, name[i])) {
      at += 1;
      i += 1;
    } else if (star >= 0) {
      resume += 1;
      at = star + 1;
      i = resume;
    } else return false;
  }
  while (pattern[at] === "any") at += 1;
  return at === pattern.length;
}

function takes(part: Exclude<Part, "any">, other: Part | undefined): boolean {
  if (other === undefined || other === "any") return false;
  if (part === "one") return true;
  return other !== "one" && other.character === part.character;
}
