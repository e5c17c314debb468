import { resolve } from "node:path";
import { requireText } from "../check-options.ts";
import { LockConfigError } from "../errors.ts";
import type { RulesChange } from "../events.ts";
import { checkLocksOptions, locksOf, type LocksOptions, redlockOptionsOf } from "./define-locks.ts";
import { FILE_NAMES, findFile } from "./text-file.ts";
import type { Locks } from "./locks.ts";
import { readRulesFile, type RulesFile } from "./rules-file.ts";

/** Locks by the rules of a file. */
export interface FileLocks extends Locks {
  /**
   * Reads the file again. Its rules hold for jobs that are taken up from then on; those that run stay under theirs. The event
   * `reloaded` of the `Redlock` says what has changed.
   * @throws {LockRulesError} that tells all mistakes in the file; {@link LockConfigError} when its masters, or their options
   * such as the ttl at the top, are not those that the locks were made with. The old rules are kept then.
   * @example process.on("SIGHUP", () => locks.reload().catch((error) => log.error(error)));
   */
  reload(this: void): Promise<RulesChange>;
}

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
export async function loadLocks(path?: string, options: LocksOptions = {}): Promise<FileLocks> {
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
  const read = async (): Promise<RulesFile> =>
    await readRulesFile(file, options.environment ?? process.env);
  const rules = await read();
  const locks = locksOf(rules, rules.faults, options);
  // One after the other: what was read last counts.
  let reloading: Promise<unknown> = Promise.resolve();
  return {
    ...locks,
    reload: () => {
      const reloaded = reloading.then(async () => {
        const fresh = await read();
        return locks.change(redlockOptionsOf(fresh, fresh.faults, options), fresh.rules);
      });
      reloading = reloaded.catch(() => undefined);
      return reloaded;
    },
  };
}
