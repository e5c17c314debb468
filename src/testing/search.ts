import { access, constants, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join, resolve } from "node:path";

/** What every step of a search knows. */
export interface Search {
  /** The environment variables of the search. */
  env: NodeJS.ProcessEnv;
  /** Folders to search after those of PATH. */
  places: readonly string[];
  /** Called with one line when something takes long, such as the first fetch of a server. */
  onProgress: (line: string) => void;
}

/** The folders of PATH. */
export function foldersOnPath({ env }: Search): string[] {
  return (env.PATH ?? "").split(delimiter).filter((folder) => isAbsolute(folder));
}

/** The first file of this name that may be run, in these folders; `undefined` if there is none. */
export async function findProgram(
  name: string,
  folders: readonly string[],
): Promise<string | undefined> {
  for (const folder of folders) {
    const path = join(folder, name);
    if (await mayRun(path)) return path;
  }
  return undefined;
}

/** The folder where fetched servers are kept. */
export function cacheFolder({ env }: Search): string {
  if (env.BULLMQ_REDLOCK_CACHE) return resolve(env.BULLMQ_REDLOCK_CACHE);
  const { XDG_CACHE_HOME: xdg = "" } = env;
  return join(isAbsolute(xdg) ? xdg : join(env.HOME || findHome(), ".cache"), "bullmq-redlock");
}

function findHome(): string {
  try {
    return homedir();
  } catch (cause) {
    throw new Error("this user has no home folder; set BULLMQ_REDLOCK_CACHE", { cause });
  }
}

async function mayRun(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
