import { resolve } from "node:path";
import { requireText } from "../check-options.ts";
import { LockConfigError } from "../errors.ts";
import { checkLocksOptions, locksOf, type LocksOptions } from "./define-locks.ts";
import { FILE_NAMES, findFile } from "./text-file.ts";
import type { Locks } from "./locks.ts";
import { readRulesFile } from "./rules-file.ts";

/**
 * Makes locks of a rules file, in YAML or JSON. Connects to nothing before the first lock.
 *
 * @param path the file; without it, `bullmq-redlock.yaml`, `.yml` or `.json` in the current folder or the nearest one
 * above it.
 * @throws {LockRulesError} that tells all mistakes in the file; {@link LockConfigError} when there is none, or for a bad
 * option of `options`.
 * @example
 * const locks = await loadLocks();
 * new Worker("invoices", locks.wrap(async (job, jobToken, signal, lock) => { ... }), { connection });
 */
export async function loadLocks(path?: string, options: LocksOptions = {}): Promise<Locks> {
  checkLocksOptions(options);
  if (path !== undefined) requireText("path", path, "the path of a rules file");
  const file = path === undefined ? await findFile(process.cwd()) : resolve(path);
  if (file === undefined) {
    throw new LockConfigError({
      path: "file",
      found: `none in ${process.cwd()} or above`,
      expected: FILE_NAMES.join(", "),
    });
  }
  const rules = await readRulesFile(file, options.environment ?? process.env);
  return locksOf(rules, rules.faults, options);
}
