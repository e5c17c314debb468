import { LockKeyError } from "../errors.ts";
import {
  describeJob,
  elementsOf,
  type FoundValue,
  isMissing,
  type KeyJob,
  LookupProblem,
  lookUp,
  textOf,
  writeSteps,
} from "./job.ts";
import { createEscape, escapeCharacter, lowerCase, separatorOf, shortenKey } from "./key-text.ts";
import { MAX_KEYS, RESERVED_PREFIX } from "./normalise.ts";
import type { PathStep } from "./path-parser.ts";
import { type ParsedTemplate, parse, type Placeholder } from "./template-parser.ts";

/** The number of combinations of array elements that a template may have for a job. */
export const MAX_COMBINATIONS = 100_000;

/**
 * Returns the texts that a template gives for a job: one, or with `[*]` one for each combination of elements, without duplicates,
 * at most {@link MAX_KEYS}.
 *
 * @throws {LockKeyError} when a value is missing, null, empty, not finite, or an object, when an array for `[*]` is empty, or when
 * there are too many texts; nothing else is thrown.
 */
export type Template = (job: KeyJob) => string[];

/**
 * Parses a key template such as `"order:{{data.orderId}}"`. Different values give different keys, except those that `lower(...)`
 * makes equal. A key of more than 512 bytes is shortened to its beginning and its SHA-256.
 *
 * @param path the name of the template in the message. @defaultValue `"key"`
 * @throws {LockConfigError} with a caret under the first problem.
 */
export function parseTemplate(text: string, path?: string): Template {
  const parsed = parse(text, path);
  const separators = parsed.literals.slice(1, -1).map((literal) => separatorOf(literal) ?? "");
  const template = createTemplate("key", text, parsed, createEscape(separators));
  return (job) => template(job).map((text) => shortenKey(withoutReserved(text)));
}

/** A value such as `@types/node` may begin a key, although `@` is reserved. */
function withoutReserved(text: string): string {
  return text.startsWith(RESERVED_PREFIX) ? escapeCharacter(RESERVED_PREFIX) + text.slice(1) : text;
}

/** Creates a template of keys or of another `kind`. @param escape writes a value in a text. */
export function createTemplate(
  kind: string,
  text: string,
  parsed: ParsedTemplate,
  escape: (value: string) => string,
): Template {
  const looping = parsed.placeholders.flatMap(({ paths }, index) =>
    paths.some(({ steps }) => steps.some(isEach)) ? [index] : [],
  );
  return (job) => {
    try {
      return render(parsed, looping, job, escape);
    } catch (cause) {
      const problem =
        cause instanceof LookupProblem
          ? { message: cause.message, path: cause.path }
          : { message: "the job's values could not be read", cause };
      throw new LockKeyError({
        ...problem,
        message: `${problem.message} (${kind} template ${JSON.stringify(text)})`,
        job: describeJob(job),
      });
    }
  };
}

/** The element that each `[*]` stands for, by its path: all paths through the same `[*]` have the same element. */
type Elements = ReadonlyMap<string, FoundValue>;

const NO_ELEMENTS: Elements = new Map();

/** @param looping the indices of placeholders in arrays. */
function render(
  { literals, placeholders }: ParsedTemplate,
  looping: readonly number[],
  job: KeyJob,
  escape: (value: string) => string,
): string[] {
  const write = (value: string, { lower }: Placeholder): string =>
    escape(lower ? lowerCase(value) : value);
  // Values outside of arrays are read once: they may be long.
  const once = placeholders.map((placeholder, index) => {
    if (looping.includes(index)) return "";
    const [first] = valuesOf(job, placeholder, 0, NO_ELEMENTS);
    return write(first?.[0] ?? "", placeholder);
  });
  const texts = new Map<string, string>();
  let combinations = 0;
  const choose = (position: number, values: readonly string[], elements: Elements): void => {
    const index = looping[position] ?? -1;
    const placeholder = placeholders[index];
    if (placeholder !== undefined) {
      for (const [value, chosen] of valuesOf(job, placeholder, 0, elements))
        choose(position + 1, values.with(index, write(value, placeholder)), chosen);
      return;
    }
    combinations += 1;
    if (combinations > MAX_COMBINATIONS)
      throw tooMany(placeholders, `${MAX_COMBINATIONS} combinations of array elements`);
    // Escaped values have no line break, so that different rows give different keys.
    const row = looping.map((each) => values[each]).join("\n");
    if (texts.has(row)) return;
    texts.set(row, literals.map((literal, each) => literal + (values[each] ?? "")).join(""));
    if (texts.size > MAX_KEYS) throw tooMany(placeholders, `${MAX_KEYS} different keys`);
  };
  choose(0, once, NO_ELEMENTS);
  return [...texts.values()];
}

function isEach({ kind }: PathStep): boolean {
  return kind === "each";
}

/** The values of a placeholder, from its path at `first` on, each with the elements in which it is. */
function* valuesOf(
  job: KeyJob,
  placeholder: Placeholder,
  first: number,
  elements: Elements,
): Iterable<[value: string, elements: Elements]> {
  const { paths, fallback, skipsEmpty } = placeholder;
  const path = paths[first];
  if (path === undefined) {
    yield [fallback ?? "", elements];
    return;
  }
  const isLast = fallback === undefined && first === paths.length - 1;
  const start = { value: job[path.root], path: path.root };
  const missing = isLast ? undefined : (found: FoundValue) => isMissing(found, skipsEmpty);
  for (const [found, chosen] of follow(start, path.steps, path.root, missing, elements)) {
    if (missing?.(found)) yield* valuesOf(job, placeholder, first + 1, chosen);
    else yield [textOf(found), chosen];
  }
}

/**
 * Follows a path, for each element of arrays that have none yet. @param name of the path so far, with `[*]`.
 * @param missing whether a value counts as missing, where another path or a default comes after this one.
 */
function* follow(
  start: FoundValue,
  steps: readonly PathStep[],
  name: string,
  missing: ((found: FoundValue) => boolean) | undefined,
  elements: Elements,
): Iterable<[found: FoundValue, elements: Elements]> {
  const each = steps.findIndex(isEach);
  const plain = each === -1 ? steps : steps.slice(0, each);
  const found = lookUp(start, plain, missing !== undefined);
  if (each === -1) {
    yield [found, elements];
    return;
  }
  const loop = `${name}${writeSteps(plain)}[*]`;
  const rest = steps.slice(each + 1);
  const known = elements.get(loop);
  if (known !== undefined) yield* follow(known, rest, loop, missing, elements);
  else if (missing?.(found)) yield [found, elements];
  else
    for (const [at, value] of elementsOf(found).entries()) {
      const element = { value, path: `${found.path}[${at}]` };
      yield* follow(element, rest, loop, missing, new Map(elements).set(loop, element));
    }
}

function tooMany(placeholders: readonly Placeholder[], bound: string): LookupProblem {
  const paths = placeholders.flatMap((placeholder) => placeholder.paths);
  const { root = "data", steps = [] } = paths.find(({ steps }) => steps.some(isEach)) ?? {};
  const array = root + writeSteps(steps.slice(0, steps.findIndex(isEach)));
  return new LookupProblem(array, `more than ${bound}`, "fewer for one lock");
}
