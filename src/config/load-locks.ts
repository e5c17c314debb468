import { resolve } from "node:path";
import { refuseValue, requireText } from "../check-options.ts";
import type { RulesChange } from "../events.ts";
import { checkLocksOptions, type LocksOptions, redlockOptionsOf } from "./define-locks.ts";
import { createLocks, type Locks } from "./locks.ts";
import type { Rule } from "./rule.ts";
import { FILE_NAMES, findFile, readRulesFile } from "./rules-file.ts";
import type { RedlockOptions } from "../redlock/options.ts";

/** Locks by the rules of a file. */
export interface FileLocks extends Locks {
  /**
   * Reads the file again. Its rules apply to jobs that start afterwards; running jobs keep their rules. The event `reloaded` of the
   * `Redlock` reports the changes.
   * @throws {LockRulesError} with all problems of the file; LockConfigError when its masters, or their options such as
   * the ttl at the top, differ from those of the locks. The old rules stay then.
   * @example process.on("SIGHUP", () => locks.reload().catch((error) => log.error(error)));
   */
  reload(this: void): Promise<RulesChange>;
}

const PATH_EXPECTED = "the path of a rules file";

/**
 * Creates locks by a rules file, in YAML or JSON. Does not connect before the first lock.
 *
 * @param path the file; by default `bullmq-redlock.yaml`, `.yml` or `.json` in the current folder or the nearest one above it.
 * @throws {LockRulesError} with all problems of the file; LockConfigError when there is none, or for a wrong option in
 * `options`.
 * @example
 * const locks = await loadLocks();
 * new Worker("invoices", locks.wrap(async (job, jobToken, signal, lock) => { ... }), { connection });
 */
export async function loadLocks(path?: string, options: LocksOptions = {}): Promise<FileLocks> {
  checkLocksOptions(options);
  if (path !== undefined) requireText("path", path, PATH_EXPECTED);
  if (path === "") refuseValue("path", "an empty text", PATH_EXPECTED);
  const file = path === undefined ? await findFile(process.cwd()) : resolve(path);
  if (file === undefined) {
    refuseValue("file", `none in ${process.cwd()} or above`, FILE_NAMES.join(", "));
  }
  const read = async (): Promise<[RedlockOptions, readonly Rule[]]> => {
    const { masters, problems, rules } = await readRulesFile(
      file,
      options.environment ?? process.env,
    );
    return [redlockOptionsOf(masters, problems, options), rules];
  };
  const locks = createLocks(...(await read()));
  // One after the other, so that the last file that was read counts.
  let reloading: Promise<unknown> = Promise.resolve();
  return {
    ...locks,
    reload: () => {
      const reloaded = reloading.then(async () => locks.change(...(await read())));
      reloading = reloaded.catch(() => undefined);
      return reloaded;
    },
  };
}
