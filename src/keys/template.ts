import { LockKeyError } from "../errors.ts";
import { createEscape, escapeCharacter, separatorOf } from "./escape.ts";
import { describeJob, type KeyJob } from "./job.ts";
import { elementsOf, type Found, LookupFault, lookUp, textOf, writeSteps } from "./lookup.ts";
import { MAX_KEYS, RESERVED_PREFIX } from "./normalise.ts";
import { shortenKey } from "./shorten.ts";
import { type ParsedTemplate, type Placeholder, type Step, parse } from "./template-parser.ts";

/** How many combinations of array elements a template looks at. */
export const MAX_COMBINATIONS = 100_000;

/** A key template that has been read and found right. */
export interface KeyTemplate {
  /** The template as it was written. */
  readonly text: string;
  /**
   * Makes the keys of a job: one, or with `[*]` one for each combination of elements, without
   * duplicates, at most {@link MAX_KEYS}.
   *
   * Different values give different keys. A key of more than 512 bytes is shortened to its
   * beginning and its SHA-256.
   *
   * @throws {LockKeyError} when a value is missing, null, empty, not finite, or an object, when an
   * array to fan out over is empty, or when there are too many keys; nothing else is thrown.
   */
  render(job: KeyJob): string[];
}

/**
 * Reads a key template such as `"order:{{data.orderId}}"`.
 *
 * @throws {LockConfigError} that shows with a caret what is wrong.
 */
export function parseTemplate(text: string): KeyTemplate {
  const plan = planOf(parse(text));
  return {
    text,
    render(job) {
      try {
        return new Rendering(plan, job).keys();
      } catch (cause) {
        const fault =
          cause instanceof LookupFault
            ? { message: cause.message, path: cause.path }
            : { message: "the job's values could not be read", cause };
        throw new LockKeyError({
          ...fault,
          message: `${fault.message} (key template ${JSON.stringify(text)})`,
          job: describeJob(job),
        });
      }
    },
  };
}

/** A path from the job, or from the element that an enclosing loop stands at. */
interface Source {
  root: Placeholder["root"];
  /** The index of the loop, or -1 for the job. */
  loop: number;
  steps: Step[];
}

interface Value extends Source {
  fallback: string | undefined;
}

/**
 * A template as loops over arrays around the values read in them. A path up to a `[*]` is one
 * loop however often it is written, so that the paths through it stay in step.
 */
interface Plan {
  literals: readonly string[];
  loops: readonly Source[];
  values: readonly Value[];
  escape: (value: string) => string;
}

function planOf({ literals, placeholders }: ParsedTemplate): Plan {
  const loops: Source[] = [];
  const names: string[] = [];
  const values = placeholders.map(({ root, steps, fallback }) => {
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
    return { ...source, fallback };
  });
  const separators = literals.slice(1, -1).map((literal) => separatorOf(literal) ?? "");
  return { literals, loops, values, escape: createEscape(separators) };
}

class Rendering {
  readonly #plan: Plan;
  readonly #job: KeyJob;
  readonly #elements: Found[] = [];
  readonly #texts: string[] = [];
  readonly #seen = new Set<string>();
  readonly #keys: string[] = [];
  #combinations = 0;

  constructor(plan: Plan, job: KeyJob) {
    this.#plan = plan;
    this.#job = job;
  }

  keys(): string[] {
    this.#readValues(-1);
    this.#runLoop(0);
    return this.#keys;
  }

  #runLoop(index: number): void {
    const loop = this.#plan.loops[index];
    if (loop === undefined) {
      this.#addKey();
      return;
    }
    const array = this.#find(loop, false);
    for (const [at, value] of elementsOf(array).entries()) {
      this.#elements[index] = { value, path: `${array.path}[${at}]` };
      this.#readValues(index);
      this.#runLoop(index + 1);
    }
  }

  /** Reads what changes with one loop only, so that a long value outside of it is read once. */
  #readValues(loop: number): void {
    for (const [index, value] of this.#plan.values.entries())
      if (value.loop === loop) {
        const text = this.#plan.escape(
          textOf(this.#find(value, value.fallback !== undefined), value.fallback),
        );
        this.#texts[index] = index === 0 ? this.#escapeStart(text) : text;
      }
  }

  /** Lets a value such as `@types/node` begin a key although `@` is reserved. */
  #escapeStart(text: string): string {
    return this.#plan.literals[0] === "" && text.startsWith(RESERVED_PREFIX)
      ? escapeCharacter(RESERVED_PREFIX) + text.slice(1)
      : text;
  }

  #addKey(): void {
    const { literals, values } = this.#plan;
    this.#combinations += 1;
    if (this.#combinations > MAX_COMBINATIONS)
      throw this.#tooMany(`${MAX_COMBINATIONS} combinations of array elements`);

    // Escaped values have no line break, so different rows never look the same.
    const row = this.#texts.filter((_, index) => values[index]?.loop !== -1).join("\n");
    if (this.#seen.has(row)) return;
    this.#seen.add(row);
    if (this.#seen.size > MAX_KEYS) throw this.#tooMany(`${MAX_KEYS} different keys`);
    const key = literals.map((literal, index) => literal + (this.#texts[index] ?? "")).join("");
    this.#keys.push(shortenKey(key));
  }

  #find({ root, loop, steps }: Source, optional: boolean): Found {
    const start = this.#elements[loop] ?? { value: this.#job[root], path: root };
    return lookUp(start, steps, optional);
  }

  #tooMany(bound: string): LookupFault {
    const [{ root, steps } = { root: "data", steps: [] }] = this.#plan.loops;
    return new LookupFault(root + writeSteps(steps), `more than ${bound}`, "fewer for one lock");
  }
}
