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
    this.#parts = inOrder(parse(text));
  }

  /** Whether a name matches, all of it. */
  matches(name: string): boolean {
    return covers(
      this.#parts,
      Array.from(name, (character) => ({ character })),
    );
  }

  /** Whether every name that matches the other pattern matches this one too. */
  covers(other: Glob): boolean {
    return covers(this.#parts, other.#parts);
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

/** Writes `*?*` as `?*`, so that patterns for the same names are the same parts. */
function inOrder(parts: readonly Part[]): Part[] {
  const ordered: Part[] = [];
  let isAny = false;
  for (const part of parts) {
    if (part === "any") {
      isAny = true;
      continue;
    }
    if (part !== "one" && isAny) {
      ordered.push("any");
      isAny = false;
    }
    ordered.push(part);
  }
  return isAny ? [...ordered, "any"] : ordered;
}

/**
 * Whether `wide` matches `narrow`, read as a name in which a `*` is a text that only a `*` takes. One step back to the
 * last `*` is enough, so the time is at most the product of the lengths.
 */
function covers(wide: readonly Part[], narrow: readonly Part[]): boolean {
  let [at, star, resume] = [0, -1, 0];
  let i = 0;
  while (i < narrow.length) {
    const part = wide[at];
    if (part === "any") {
      star = at;
      resume = i;
      at += 1;
    } else if (part !== undefined && takes(part, narrow[i])) {
      at += 1;
      i += 1;
    } else if (star >= 0) {
      resume += 1;
      at = star + 1;
      i = resume;
    } else return false;
  }
  while (wide[at] === "any") at += 1;
  return at === wide.length;
}

function takes(part: Exclude<Part, "any">, other: Part | undefined): boolean {
  if (other === undefined || other === "any") return false;
  if (part === "one") return true;
  return other !== "one" && other.character === part.character;
}
