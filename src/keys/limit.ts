import { LockConfigError, LockKeyError } from "../errors.ts";
import { describeJob, describeThrown, type KeyJob } from "./job.ts";
import { checkLimit } from "./normalise.ts";
import { parseTemplate } from "./template.ts";

/** How many jobs may hold a key at the same time: a number, a template of one, or a function. */
export type LimitOption<Job = KeyJob> = number | string | ((job: Job) => number);

/** The limit of a job: the same for all jobs, or read from each. */
export type Limit<Job extends KeyJob = KeyJob> = number | ((job: Job) => number);

/** Reads a limit that is a number, 1 by default. @throws {LockConfigError} for what is none. */
export function readLimit(path: string, limit: unknown): number {
  return checkLimit(
    limit === undefined ? 1 : limit,
    (found, expected) => new LockConfigError({ path, found, expected }),
  );
}

/**
 * Reads the option. A function that it returns throws a {@link LockKeyError} for a job without a limit.
 * @throws {LockConfigError} for what is no limit, no template and no function.
 */
export function createLimit<Job extends KeyJob>(path: string, limit: unknown): Limit<Job> {
  if (typeof limit === "string") {
    const template = parseTemplate(limit, path);
    return (job) => {
      const texts = template.render(job);
      return checkFor(job, texts.length === 1 ? asNumber(texts[0]) : texts, "template");
    };
  }
  if (typeof limit !== "function") return readLimit(path, limit);
  const read = limit as (job: Job) => unknown;
  return (job) => {
    try {
      return checkFor(job, read(job), "function");
    } catch (cause) {
      if (cause instanceof LockKeyError) throw cause;
      const message = `the limit function threw ${describeThrown(cause)}`;
      throw new LockKeyError({ message, job: describeJob(job), cause });
    }
  };
}

function checkFor(job: KeyJob, limit: unknown, source: "template" | "function"): number {
  return checkLimit(limit, (found, expected) => {
    const message = `the limit ${source} gave ${found}, expected ${expected}`;
    return new LockKeyError({ message, job: describeJob(job) });
  });
}

/** `"5"` is a number; anything else is shown as it is. */
function asNumber(text: string | undefined): unknown {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text;
}
