import {
  type Alias,
  type Document as YamlDocument,
  isAlias,
  isCollection,
  isMap,
  isScalar,
  isSeq,
  type Pair,
  type Range,
  type Scalar,
} from "yaml";
import type { TextProblem } from "./document.ts";
import { type Problem, NOTHING, type Path, writePath } from "./problem.ts";
import { offsetInScalar } from "./scalar-offset.ts";
import { expectedOf } from "./schema.ts";
import { mayShow, mayShowName } from "./shown.ts";
import type { Stretch } from "./source-line.ts";
import { PLAIN_VALUES } from "./syntax-error.ts";

/** Deeper than any rules file, and flat enough for every recursion. */
export const DEEPEST = 50;
/** What is expected where there is too much, for error messages. */
export const EXPECTED_IN_FILE = "nodes, options and rules";
/** How many values aliases may repeat: a few lines can stand for billions. */
const MOST_REPEATED = 20_000;
/** What takes texts alone. */
const TEXTS: ReadonlySet<unknown> = new Set(["queue", "job", "key", "prefix"]);
/** What compares values as texts. */
const CONDITIONS: ReadonlySet<unknown> = new Set(["when", "unless"]);

/** What is nothing in other languages, and a text in YAML. */
const NOTHING_ELSEWHERE = /^(?:undefined|NaN|None|nil)$/;
/** So much of a comment is looked at. */
const LONGEST_COMMENT = 1_000;

/** Makes values of nodes, and remembers where they stand. */
export class ValueReader {
  readonly problems: Problem[] = [];
  readonly unreadable: Path[] = [];
  /** Where values and names stand, and whether they may be shown. */
  readonly stretches: Stretch[] = [];
  tooMuch: TextProblem | undefined;
  readonly #document: YamlDocument.Parsed;
  readonly #text: string;
  /** Where there are faults of the text, that are told as such. */
  readonly #problems: ReadonlySet<number>;
  /** What has an anchor where nothing may be shown: under another name it is as secret. */
  readonly #secrets = new Set<unknown>();
  readonly #nodes = new Map<string, { readonly name: unknown; readonly value: unknown }>();
  #aliases = 0;
  #repeated = 0;

  constructor(document: YamlDocument.Parsed, text: string, problems: ReadonlySet<number>) {
    this.#document = document;
    this.#text = text;
    this.#problems = problems;
  }

  read(): unknown {
    const { contents } = this.#document;
    return this.#valueAt([], undefined, contents, 0);
  }

  offsetOf({ path, part, offset }: Problem): number {
    for (let length = path.length; length >= 0; length--) {
      const { name, value } = this.#nodes.get(writePath(path.slice(0, length))) ?? {};
      const meant = part === "value" ? value : name;
      const node = [meant, name, value].find((each) => rangeOf(each) !== undefined);
      const range = rangeOf(node);
      if (range === undefined) continue;
      const isWhole = length === path.length && node === meant;
      // An alias stands for a text that is elsewhere.
      if (!isWhole || offset === undefined || !isScalar(node)) return range[0];
      return (
        range[0] + offsetInScalar(this.#text.slice(range[0], range[1]), String(node.value), offset)
      );
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
      // One of them is told; the rest follows from it.
      this.tooMuch ??= { at: rangeOf(node)?.[0] ?? 0, found, expected: EXPECTED_IN_FILE };
      return undefined;
    }
    if (isAlias(node) || isScalar(node)) this.#note(node, mayShow(path));
    if (isAlias(node)) return this.#targetOf(node, path, depth);
    if (!isScalar(node) && !isCollection(node)) return this.#nothing(path);
    if (node.anchor !== undefined && path[0] !== "rules" && !mayShow(path)) this.#secrets.add(node);
    if (node.tag !== undefined) return this.#refuseTag(node as { range: Range }, path);
    if (isSeq(node))
      return node.items.map((item, i) => this.#valueAt([...path, i], undefined, item, depth + 1));
    if (isMap(node)) return this.#objectOf(node.items, path, depth);
    const range = rangeOf(node);
    if (range === undefined) return this.#nothing(path);
    if (this.#problems.has(range[0])) return this.#unreadable(path);
    const { value, source, type } = node as Scalar.Parsed;
    const refused = type === "PLAIN" ? this.#refusePlain(source, range, path) : undefined;
    if (refused !== undefined) return refused;
    const isAsWritten = String(value) === source || (value === null && source === "~");
    if (type !== "PLAIN" || typeof value === "string" || isAsWritten) return value;
    if (!mayShow(path))
      return this.#refuse(path, "a value that is read as another text", "quotes around it");
    const quoted = `"${source}" in quotes`;
    const found = `${source}, which is read as ${String(value)}`;
    const option = optionAt(path);
    if (TEXTS.has(option) && !(option === "key" && value === null))
      return this.#refuse(path, found, quoted);
    const isExact = typeof value !== "number" || Math.abs(value) <= Number.MAX_SAFE_INTEGER;
    if (!CONDITIONS.has(option)) {
      const read = isExact ? String(value) : "a smaller number";
      return this.#refuse(path, found, expectedOf(option, value) ?? read);
    }
    return this.#refuse(path, found, isExact ? `${String(value)}, or ${quoted}` : quoted);
  }

  /** Refuses a text without quotes that is not all of what was meant, or a word for nothing in another language. */
  #refusePlain(source: string, [, end]: Range, path: Path): unknown {
    const option = optionAt(path);
    const [comment = ""] = /^[ \t]+#.*/.exec(this.#text.slice(end, end + LONGEST_COMMENT)) ?? [];
    const [mark, whole] = option === "key" ? ["{{", "template"] : ["${", "text"];
    if ((option === "key" || option === "prefix") && comment.includes(mark)) {
      const found = `a comment with a ${option === "key" ? "placeholder" : "variable"} in it`;
      const expected = `quotes around all of the ${whole}, or around what stands before the comment`;
      return this.#refuse(path, found, expected);
    }
    const takesText = TEXTS.has(option) || CONDITIONS.has(option);
    if (!takesText || !NOTHING_ELSEWHERE.test(source)) return undefined;
    const quoted = `"${source}" in quotes`;
    const takesNull = CONDITIONS.has(option) || (option === "key" && path.length === 3);
    return this.#refuse(path, source, takesNull ? `null, or ${quoted}` : quoted);
  }

  #targetOf(alias: Alias, path: Path, depth: number): unknown {
    if (this.#problems.has(rangeOf(alias)?.[0] ?? -1)) return this.#unreadable(path);
    const target = alias.resolve(this.#document);
    if (target === undefined) {
      const name = `*${alias.source}`;
      return mayShow(path)
        ? this.#refuse(
            path,
            `an alias without an anchor: ${name}`,
            `"${name}" in quotes, if it is a pattern`,
          )
        : this.#refuse(path, "an alias without an anchor", "quotes around a text with * before it");
    }
    if (mayShow(path) && this.#secrets.has(target))
      return this.#refuse(path, "an alias of what stands in nodes", "a value of its own");
    this.#aliases += 1;
    const value = this.#valueOf(target, path, depth + 1);
    this.#aliases -= 1;
    return value;
  }

  #objectOf(pairs: readonly Pair[], path: Path, depth: number): unknown {
    const object: Record<string, unknown> = {};
    for (const { key, value } of pairs) {
      if (!isScalar(key)) {
        this.#unreadable(path);
        continue;
      }
      const name = String(key.value);
      this.#note(key, mayShowName(name, path));
      if (key.tag !== undefined) this.#refuseTag(key as { range: Range }, [...path, name], "name");
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

  /** What is not written: it is no null. */
  #nothing(path: Path): unknown {
    if (path[0] !== "nodes" || path.length < 2) return NOTHING;
    const expected = "a value, in quotes if it begins with &, #, ! or *; or null for none";
    return this.#refuse(path, "nothing", expected);
  }

  #note(node: unknown, isShown: boolean): void {
    const [start, end] = rangeOf(node) ?? [0, 0];
    // What an alias repeats may stand where nothing is shown.
    if (this.#aliases === 0 && start < end) this.stretches.push({ start, end, isShown });
  }

  #refuseTag(node: { range: Range }, path: Path, part: Problem["part"] = "value"): unknown {
    const [start, end] = node.range;
    // It stands before its value, perhaps with an anchor between them.
    const { 0: before = "", 1: tag = "" } =
      /(!\S*)\s*(?:&\S+\s*)?$/.exec(this.#text.slice(Math.max(0, start - 200), start)) ?? [];
    node.range = [start - before.length, Math.max(start, end), end];
    return this.#refuse(
      path,
      mayShow(path) ? `a tag: ${tag}` : "a tag",
      `${PLAIN_VALUES}; a text with ! before it in quotes`,
      part,
    );
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

/** The option that a path leads to: of a rule, or for all of them. */
function optionAt([top, , inRule]: Path): string {
  return String(top === "rules" ? inRule : top);
}

function rangeOf(node: unknown): Range | undefined {
  const range = isScalar(node) || isCollection(node) || isAlias(node) ? node.range : undefined;
  // An empty value has a place of its own, behind the line; its name is what people look at.
  return range && range[0] < range[1] ? range : undefined;
}
