import { describeValue, LockConfigError } from "../errors.ts";
import { LONGEST_TTL } from "../lock/stored.ts";
import { type Mistake, type Path, toMistake, wrongValue } from "./mistake.ts";

/** Options by their names; checks take faulty ones away. */
export type Options = Record<string, unknown>;

/**
 * Finds all faults that a check would find one by one: takes away each option that it refuses, and checks again.
 *
 * @param path where the options stand.
 * @param written the options as they were written, where durations may have a unit.
 */
export function findFaults(
  options: Options,
  check: (options: Options) => void,
  path: Path,
  written: Options,
): Mistake[] {
  const mistakes: Mistake[] = [];
  const add = (mistake: Mistake, name: string): void => {
    const found = foundAsWritten(mistake.found, written[name], options[name]);
    mistakes.push({ ...mistake, found });
    delete options[name];
  };
  for (;;) {
    try {
      check(options);
      return mistakes;
    } catch (error) {
      if (!(error instanceof LockConfigError)) throw error;
      const mistake = toMistake(error, path);
      const name = String(mistake.path[path.length] ?? "");
      const isGiven = Object.hasOwn(options, name);
      add(mistake, name);
      if (!isGiven) return mistakes;
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
