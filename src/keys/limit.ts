import { wrongOption } from "../check-options.ts";
import { LockConfigError, LockKeyError } from "../errors.ts";
import { callOf, describeJob, type KeyJob } from "./job.ts";
import { checkLimit, LIMIT_EXPECTED } from "./normalise.ts";
import { createTemplate } from "./template.ts";
import { parse } from "./template-parser.ts";

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
  if (typeof limit === "string") return readTemplate(path, limit);
  if (typeof limit !== "function") return readLimit(path, limit);
  const read = limit as (job: Job) => unknown;
  return (job) =>
    checkFor(
      job,
      callOf("limit", () => read(job), job),
      "function",
    );
}

/** Reads a template of a whole number; without placeholders, the number itself. */
function readTemplate(path: string, text: string): Limit {
  const { literals, placeholders } = parse(text, path);
  const fixed = [...literals, ...placeholders.map(({ fallback = "" }) => fallback)];
  if (fixed.some((part) => /\D/.test(part))) {
    const expected = `${LIMIT_EXPECTED}, or a template of one such as "{{data.limit}}"`;
    throw wrongOption(path, text, expected);
  }
  if (placeholders.length === 0) return readLimit(path, Number(text));
  const template = createTemplate("limit", text, { literals, placeholders }, (value) => value);
  return (job) => {
    const [only = "", ...more] = template(job);
    const limit = /^\d+$/.test(only) ? Number(only) : only;
    return checkFor(job, more.length === 0 ? limit : [only, ...more], "template");
  };
}

function checkFor(job: KeyJob, limit: unknown, source: "template" | "function"): number {
  return checkLimit(limit, (found, expected) => {
    const message = `the limit ${source} gave ${found}, expected ${expected}`;
    return new LockKeyError({ message, job: describeJob(job) });
  });
}
