import { stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { LockConfigError } from "../errors.ts";

/** What rules files are called. */
export const FILE_NAMES = ["bullmq-redlock.yaml", "bullmq-redlock.yml", "bullmq-redlock.json"];

/**
 * Finds the rules file in a folder or in the nearest one above it; `undefined` when there is none.
 * @throws {LockConfigError} when one folder has two of them.
 */
export async function findFile(folder: string): Promise<string | undefined> {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const there = await Promise.all(FILE_NAMES.map(async (name) => await isFile(join(at, name))));
    const found = FILE_NAMES.filter((_, index) => there[index]);
    if (found.length > 1) {
      throw new LockConfigError({
        path: "file",
        found: `${found.join(" and ")} in ${at}`,
        expected: "one of them",
      });
    }
    if (found[0] !== undefined) return join(at, found[0]);
    if (at === dirname(at)) return undefined;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    // What cannot be looked at is not there for us.
    return false;
  }
}
