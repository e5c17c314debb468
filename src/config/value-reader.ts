import * as yaml from "yaml";
import { type Path, type Problem, writePath, wrongSyntax } from "./problem.ts";
import { mayShow, mayShowName, NOTHING, type Stretch } from "./shown.ts";

/** Deeper than any rules file, and flat enough for every recursion. */
export const DEEPEST = 50;
/** The contents of a rules file, for messages. */
export const EXPECTED_IN_FILE = "nodes, options and rules";
/** How many values aliases may repeat: a few lines can stand for billions. */
const MOST_REPEATED = 20_000;
const TEXTS: ReadonlySet<unknown> = new Set(["queue", "job", "key", "prefix", "when", "unless"]);

/** Words that are nothing in other languages, and a text in YAML. */
const NOTHING_ELSEWHERE = /^(?:undefined|NaN|None|nil)$/;
const LONGEST_COMMENT = 1_000;

/** Turns the nodes of a document into values, and keeps their positions. */
export class ValueReader {
  readonly problems: Problem[] = [];
  readonly unreadable: Path[] = [];
  readonly stretches: Stretch[] = [];
  tooMuch: Problem | undefined;
  readonly #document: yaml.Document.Parsed;
  readonly #text: string;
  /** The offsets of syntax errors, which are reported on their own. */
  readonly #errors: ReadonlySet<number>;
  /** Values that may not be shown, and have an anchor: an alias must not show them elsewhere. */
  readonly #secrets = new Set<unknown>();
  readonly #nodes = new Map<string, { readonly name: unknown; readonly value: unknown }>();
  #aliases = 0;
  #repeated = 0;

  constructor(document: yaml.Document.Parsed, text: string, errors: ReadonlySet<number>) {
    this.#document = document;
    this.#text = text;
    this.#errors = errors;
  }

  read(): unknown {
    return this.#valueAt([], undefined, this.#document.contents, 0);
  }

  offsetOf({ path, part, offset }: Problem): number {
    for (let length = path.length; length >= 0; length--) {
      const { name, value } = this.#nodes.get(writePath(path.slice(0, length))) ?? {};
      const meant = part === "value" ? value : name;
      const node = [meant, name, value].find((each) => rangeOf(each) !== undefined);
      const isItem = name === undefined && yaml.isScalar(value);
      const range = rangeOf(node) ?? (isItem ? value.range : undefined);
      if (!range) continue;
      const isWhole = length === path.length && node === meant;
      // The text of an alias is elsewhere.
      if (!isWhole || offset === undefined || !yaml.isScalar(node)) return range[0];
      // A text with escapes or line breaks is written in another way.
      const start = this.#text.slice(range[0], range[1]).indexOf(String(node.value));
      return start === -1 ? range[0] : range[0] + start + offset;
    }
    return 0;
  }

  #valueAt(path: Path, name: unknown, value: unknown, depth: number): unknown {
    this.#nodes.set(writePath(path), { name, value });
    return this.#valueOf(value, path, depth);
  }

  #valueOf(node: unknown, path: Path, depth: number): unknown {
    if (this.#aliases > 0) this.#repeated += 1;
    if (this.#repeated > MOST_REPEATED || depth > 2 * DEEPEST) {
      const found = `more than ${MOST_REPEATED} values by aliases, or an alias inside of itself`;
      // The first is enough: the rest follows from it.
      this.tooMuch ??= wrongSyntax(rangeOf(node)?.[0] ?? 0, found, EXPECTED_IN_FILE);
      return undefined;
    }
    if (yaml.isAlias(node) || yaml.isScalar(node)) this.#note(node, mayShow(path));
    if (yaml.isAlias(node)) return this.#targetOf(node, path, depth);
    if (!yaml.isScalar(node) && !yaml.isCollection(node)) return this.#nothing(path);
    if (node.anchor !== undefined && path[0] !== "rules" && !mayShow(path)) this.#secrets.add(node);
    if (node.tag !== undefined) return this.#refuseTag(path);
    if (yaml.isSeq(node))
      return node.items.map((item, i) => this.#valueAt([...path, i], undefined, item, depth + 1));
    if (yaml.isMap(node)) return this.#objectOf(node.items, path, depth);
    const range = rangeOf(node);
    if (range === undefined) return this.#nothing(path);
    if (this.#errors.has(range[0])) return this.#unreadable(path);
    const { value, source, type } = node as yaml.Scalar.Parsed;
    const refused = type === "PLAIN" ? this.#refusePlain(source, range, path) : undefined;
    if (refused !== undefined) return refused;
    const isAsWritten = String(value) === source || (value === null && source === "~");
    if (type !== "PLAIN" || typeof value === "string" || isAsWritten) return value;
    return mayShow(path)
      ? this.#refuse(
          path,
          `${source}, which is read as ${String(value)}`,
          `"${source}" in quotes for this text, or the value as it is read`,
        )
      : this.#refuse(path, "a value that is read as another text", "quotes around it");
  }

  /** Refuses a text without quotes that a comment cuts short, or that is nothing in another language. */
  #refusePlain(source: string, [, end]: yaml.Range, path: Path): unknown {
    const option = optionAt(path);
    const [comment = ""] = /^[ \t]+#.*/.exec(this.#text.slice(end, end + LONGEST_COMMENT)) ?? [];
    if ((option === "key" || option === "prefix") && /\{\{|\$\{/.test(comment)) {
      const expected = "quotes around all of the text, or around the part before the comment";
      return this.#refuse(path, "a comment with a part of the text in it", expected);
    }
    if (!TEXTS.has(option) || !NOTHING_ELSEWHERE.test(source)) return undefined;
    return this.#refuse(path, source, `"${source}" in quotes, if it is a text`);
  }

  #targetOf(alias: yaml.Alias, path: Path, depth: number): unknown {
    if (this.#errors.has(rangeOf(alias)?.[0] ?? -1)) return this.#unreadable(path);
    const target = alias.resolve(this.#document);
    if (target === undefined) {
      const expected = "quotes around a text that begins with *";
      return this.#refuse(path, "an alias without an anchor", expected);
    }
    if (mayShow(path) && this.#secrets.has(target))
      return this.#refuse(path, "an alias of a value in nodes", "a value of its own");
    this.#aliases += 1;
    const value = this.#valueOf(target, path, depth + 1);
    this.#aliases -= 1;
    return value;
  }

  #objectOf(pairs: readonly yaml.Pair[], path: Path, depth: number): unknown {
    const object: Record<string, unknown> = {};
    for (const { key, value } of pairs) {
      if (!yaml.isScalar(key)) {
        this.#unreadable(path);
        continue;
      }
      const name = String(key.value);
      this.#note(key, mayShowName(name, path));
      if (key.tag !== undefined) this.#refuseTag([...path, name], "name");
      // An assignment to __proto__ would set the prototype.
      Object.defineProperty(object, name, {
        value: this.#valueAt([...path, name], key, value, depth + 1),
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    return object;
  }

  /** Reads a value that is not written, and that is not null. */
  #nothing(path: Path): unknown {
    if (path[0] !== "nodes" || path.length < 2) return NOTHING;
    const expected = "a value, in quotes if it begins with &, #, ! or *; or null for none";
    return this.#refuse(path, "nothing", expected);
  }

  #note(node: unknown, isShown: boolean): void {
    const [start, end] = rangeOf(node) ?? [0, 0];
    // The target of an alias may be at a path where nothing is shown.
    if (this.#aliases === 0 && start < end) this.stretches.push({ start, end, isShown });
  }

  #refuseTag(path: Path, part: Problem["part"] = "value"): unknown {
    const expected = "plain values, and quotes around a text that begins with !";
    return this.#refuse(path, "a tag", expected, part);
  }

  #refuse(path: Path, found: string, expected: string, part: Problem["part"] = "value"): unknown {
    this.problems.push({ path, part, found, expected });
    return this.#unreadable(path);
  }

  #unreadable(path: Path): unknown {
    this.unreadable.push(path);
    return NOTHING;
  }
}

/** The option that a path leads to: of a rule, or of all rules. */
function optionAt([top, , inRule]: Path): string {
  return String(top === "rules" ? inRule : top);
}

function rangeOf(node: unknown): yaml.Range | undefined {
  const range =
    yaml.isScalar(node) || yaml.isCollection(node) || yaml.isAlias(node) ? node.range : undefined;
  // The range of an empty value is after its line; the position of its name is of more use.
  return range && range[0] < range[1] ? range : undefined;
}
