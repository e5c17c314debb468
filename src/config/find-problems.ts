import { LockConfigError } from "../errors.ts";
import { LONGEST_TTL } from "../lock/stored-lock.ts";
import { type Problem, type Path, toProblem, wrongValue } from "./problem.ts";
import { describeValue } from "../sentences.ts";

/** Options by their names; checks take faulty ones away. */
export type Options = Record<string, unknown>;

/**
 * Finds all faults that a check would find one by one: takes away each option that it refuses, and checks again.
 *
 * @param path where the options stand.
 * @param written the options as they were written, where durations may have a unit.
 */
export function findProblems(
  options: Options,
  check: (options: Options) => void,
  path: Path,
  written: Options,
): Problem[] {
  const problems: Problem[] = [];
  const add = (problem: Problem, name: string): void => {
    const found = foundAsWritten(problem.found, written[name], options[name]);
    problems.push({ ...problem, found });
    delete options[name];
  };
  for (;;) {
    try {
      check(options);
      return problems;
    } catch (error) {
      if (!(error instanceof LockConfigError)) throw error;
      const problem = toProblem(error, path);
      const name = String(problem.path[path.length] ?? "");
      const isGiven = Object.hasOwn(options, name);
      add(problem, name);
      if (!isGiven) return problems;
      if (name !== "ttl") continue;
      // What follows from the ttl is unknown without one; these bounds do not.
      for (const other of ["maxTtl", "heartbeat"]) {
        const ms = options[other];
        if (typeof ms === "number" && (ms < 1 || ms > LONGEST_TTL)) {
          const bounds = `whole milliseconds from 1 to ${LONGEST_TTL}`;
          add(wrongValue([...path, other], String(ms), bounds), other);
        } else delete options[other];
      }
    }
  }
}

/** What was found, as it was written, when that is a duration. */
export function foundAsWritten(found: string, written: unknown, ms: unknown): string {
  return typeof written === "string" && typeof ms === "number" && found === String(ms)
    ? `${describeValue(written)} (${ms} ms)`
    : found;
}
