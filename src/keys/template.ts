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
import type { TemplatePath } from "./path-parser.ts";
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
  const plan = planOf(parsed, escape);
  return (job) => {
    try {
      return new Rendering(plan, job).texts();
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

/** A path from the job, or from the current element of a loop. */
interface Source extends TemplatePath {
  /** The index of the loop, or -1 for the job. */
  loop: number;
}

interface Value extends Omit<Placeholder, "paths"> {
  sources: Source[];
}

/**
 * A template as loops over arrays, with values that are read in them. All paths through the same `[*]` share one loop, so that
 * they have the same element.
 */
interface Plan {
  literals: readonly string[];
  loops: readonly Source[];
  values: readonly Value[];
  /** The indices of the values outside of all loops. */
  once: readonly number[];
  /** The indices of the values in loops, those with the fewest loops first. */
  looping: readonly number[];
  escape: (value: string) => string;
}

function planOf(
  { literals, placeholders }: ParsedTemplate,
  escape: (value: string) => string,
): Plan {
  const loops: Source[] = [];
  const names: string[] = [];
  const sourceOf = ({ root, steps }: TemplatePath): Source => {
    let source: Source = { root, loop: -1, steps: [] };
    for (const [index, step] of steps.entries())
      if (step.kind === "each") {
        const name = root + writeSteps(steps.slice(0, index));
        if (!names.includes(name)) {
          names.push(name);
          loops.push(source);
        }
        source = { root, loop: names.indexOf(name), steps: [] };
      } else source.steps.push(step);
    return source;
  };
  const values = placeholders.map(({ paths, ...rest }) => ({
    ...rest,
    sources: paths.map(sourceOf),
  }));
  const depths = placeholders.map(({ paths }) =>
    Math.max(...paths.map(({ steps }) => steps.filter(({ kind }) => kind === "each").length)),
  );
  const indices = [...values.keys()].sort((a, b) => (depths[a] ?? 0) - (depths[b] ?? 0));
  return {
    literals,
    loops,
    values,
    once: indices.filter((index) => depths[index] === 0),
    looping: indices.filter((index) => depths[index] !== 0),
    escape,
  };
}

class Rendering {
  readonly #plan: Plan;
  readonly #job: KeyJob;
  readonly #elements: (FoundValue | undefined)[] = [];
  readonly #values: string[] = [];
  readonly #seen = new Set<string>();
  readonly #texts: string[] = [];
  #combinations = 0;

  constructor(plan: Plan, job: KeyJob) {
    this.#plan = plan;
    this.#job = job;
  }

  texts(): string[] {
    for (const index of this.#plan.once) this.#read(index, 0, () => {});
    this.#readLooping(0);
    return this.#texts;
  }

  #readLooping(position: number): void {
    const index = this.#plan.looping[position];
    if (index === undefined) this.#addText();
    else this.#read(index, 0, () => this.#readLooping(position + 1));
  }

  /** Reads a value from its paths, from the one at `first` on; continues for each element of its loops. */
  #read(index: number, first: number, next: () => void): void {
    const { sources, fallback, skipsEmpty } = this.#plan.values[index] as Value;
    const source = sources[first];
    if (source === undefined) return this.#take(index, fallback ?? "", next);
    const isLast = fallback === undefined && first === sources.length - 1;
    this.#each(source.loop, source.root, isLast ? undefined : skipsEmpty, (start) => {
      const found = start && lookUp(start, source.steps, !isLast);
      if (found === undefined || (!isLast && isMissing(found, skipsEmpty)))
        this.#read(index, first + 1, next);
      else this.#take(index, textOf(found), next);
    });
  }

  #take(index: number, text: string, next: () => void): void {
    const { values, escape } = this.#plan;
    this.#values[index] = escape(values[index]?.lower === true ? lowerCase(text) : text);
    next();
  }

  /**
   * Continues with each element of a loop, with its current element, or with the job.
   *
   * @param skipsEmpty whether an empty array counts as missing, where a missing array continues with `undefined`; without it,
   * a missing array is a problem.
   */
  #each(
    loop: number,
    root: Source["root"],
    skipsEmpty: boolean | undefined,
    next: (element: FoundValue | undefined) => void,
  ): void {
    const source = this.#plan.loops[loop];
    if (source === undefined) return next({ value: this.#job[root], path: root });
    const current = this.#elements[loop];
    if (current !== undefined) return next(current);
    this.#each(source.loop, root, skipsEmpty, (start) => {
      const array = start && lookUp(start, source.steps, skipsEmpty !== undefined);
      if (array === undefined || (skipsEmpty !== undefined && isMissing(array, skipsEmpty)))
        return next(undefined);
      for (const [at, value] of elementsOf(array).entries()) {
        const element = { value, path: `${array.path}[${at}]` };
        this.#elements[loop] = element;
        next(element);
      }
      this.#elements[loop] = undefined;
    });
  }

  #addText(): void {
    const { literals, looping } = this.#plan;
    this.#combinations += 1;
    if (this.#combinations > MAX_COMBINATIONS)
      throw this.#tooMany(`${MAX_COMBINATIONS} combinations of array elements`);

    // Escaped values have no line break, so that different rows give different keys.
    const row = looping.map((index) => this.#values[index]).join("\n");
    if (this.#seen.has(row)) return;
    this.#seen.add(row);
    if (this.#seen.size > MAX_KEYS) throw this.#tooMany(`${MAX_KEYS} different keys`);
    this.#texts.push(
      literals.map((literal, index) => literal + (this.#values[index] ?? "")).join(""),
    );
  }

  #tooMany(bound: string): LookupProblem {
    const [{ root, steps } = { root: "data", steps: [] }] = this.#plan.loops;
    return new LookupProblem(root + writeSteps(steps), `more than ${bound}`, "fewer for one lock");
  }
}
