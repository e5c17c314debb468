import type { DataOption } from "../data-option.ts";
import { LockConfigError } from "../errors.ts";
import { describeValue } from "../sentences.ts";
import { readDuration } from "./duration.ts";
import { type Environment, expandVariables } from "./environment.ts";
import { type Path, type Problem, toProblem, wrongValue } from "./problem.ts";

/** Options by their names. */
export type Options = Record<string, unknown>;

/** Text of another language of templates or variables. */
const FOREIGN = /\{\{|<%|\$(?=[A-Za-z_(])/;

/** The ttl, and the options whose bounds depend on it. */
const OF_TTL = ["ttl", "maxTtl", "heartbeat", "nodeTimeout"];

/** Reads options of the right shape: durations as milliseconds, texts with the values of variables. */
export function readOptions(
  given: Options,
  known: Readonly<Record<string, DataOption>>,
  path: Path,
  isSound: (path: Path) => boolean,
  environment: Environment,
): { options: Options; problems: Problem[] } {
  const options: Options = {};
  const problems: Problem[] = [];
  for (const [name, { takes }] of Object.entries(known)) {
    const value = given[name];
    const at = [...path, name];
    // In code, an option may be there without a value.
    if (value === undefined || !isSound(at)) continue;
    if (takes === "text" && typeof value === "string") {
      const expanded = expandVariables(value, environment, at);
      const foreign = FOREIGN.exec(value)?.[0];
      problems.push(...expanded.problems);
      if (foreign !== undefined) {
        const expected = "text, or ${NAME} for an environment variable";
        problems.push(wrongValue(at, `"${foreign}"`, expected));
      } else if (expanded.problems.length === 0) options[name] = expanded.value;
      continue;
    }
    const isDuration = typeof takes === "string" && takes.startsWith("duration") && value !== false;
    const taken = isDuration ? readDuration(value) : value;
    if (taken !== undefined) options[name] = taken;
    else problems.push(wrongValue(at, JSON.stringify(value), "a duration of whole milliseconds"));
  }
  return { options, problems };
}

/**
 * Finds the problems of which a check reports one at a time: removes the option that the check refuses, and checks the rest.
 * With a wrong ttl, the options that depend on it are not checked.
 *
 * @param options options of the right shape, below `path`; the wrong ones are removed.
 * @param given the options as they are written, where durations may have a unit.
 */
export function findProblems(
  options: Options,
  check: (options: Options) => void,
  path: Path,
  given: Options,
): Problem[] {
  const problems: Problem[] = [];
  for (;;) {
    try {
      check(options);
      return problems;
    } catch (error) {
      if (!(error instanceof LockConfigError)) throw error;
      const problem = toProblem(error, path);
      const name = String(problem.path[path.length] ?? "");
      const found = describeDuration(problem.found, given[name], options[name]);
      problems.push({ ...problem, found });
      if (!Object.hasOwn(options, name)) return problems;
      for (const wrong of name === "ttl" ? OF_TTL : [name]) delete options[wrong];
    }
  }
}

/** Describes milliseconds as they are written, when a message found them. */
export function describeDuration(found: string, given: unknown, ms: unknown): string {
  return typeof given === "string" && typeof ms === "number" && found === String(ms)
    ? `${describeValue(given)} (${ms} ms)`
    : found;
}
