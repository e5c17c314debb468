import { describeValue, LockConfigError } from "../errors.ts";

/** Options by their names; checks take faulty ones away. */
export type Options = Record<string, unknown>;

/**
 * Finds all faults that a check would find one by one: takes away each option that it refuses, and checks again.
 * `removed` may take away more, so that what only follows from a fault is not told.
 */
export function findFaults(
  options: Options,
  check: (options: Options) => void,
  removed: (name: string) => void = () => {},
): LockConfigError[] {
  const faults: LockConfigError[] = [];
  for (;;) {
    try {
      check(options);
      return faults;
    } catch (error) {
      if (!(error instanceof LockConfigError)) throw error;
      faults.push(error);
      const [name = ""] = error.path.split(/[.[]/);
      if (!(name in options)) return faults;
      delete options[name];
      removed(name);
    }
  }
}

/** What was found, as it was written, when that is a duration. */
export function foundAsWritten(found: string, written: unknown, ms: unknown): string {
  return typeof written === "string" && typeof ms === "number" && found === String(ms)
    ? `${describeValue(written)} (${ms} ms)`
    : found;
}
