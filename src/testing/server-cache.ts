import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { lookIn, type RedisServer, type Step } from "./redis-server.ts";
import { cacheFolder, type Search } from "./search.ts";

/** Looks for a server that an earlier run has fetched. */
export const lookInCache: Step = async (search) => {
  const shelf = await shelfFolder(search);
  const refusals: string[] = [];
  for (const name of await listFolder(shelf)) {
    const found = await tryUnpacked(join(shelf, name), "cache");
    if (typeof found !== "string") return found;
    refusals.push(found);
  }
  return refusals.join("; ") || `nothing in ${shelf}`;
};

/** Looks for a server in a folder into which packages were unpacked: the server, or why there is none. */
export async function tryUnpacked(
  root: string,
  source: RedisServer["source"],
): Promise<RedisServer | string> {
  const libraries = (await libraryFolders(root)).join(":");
  return await lookIn([join(root, "usr/bin")], source, { LD_LIBRARY_PATH: libraries });
}

/**
 * Moves a complete folder into the cache and returns its path there.
 *
 * Each gets a name of its own and none is ever replaced, so processes that fetch at the same time
 * cannot take a server away from each other.
 */
export async function keepInCache(root: string, search: Search): Promise<string> {
  const shelf = await shelfFolder(search);
  await mkdir(shelf, { recursive: true });
  const path = join(shelf, randomUUID());
  await rename(root, path);
  return path;
}

/** A home folder may be shared by machines, so each kind of system has its own shelf. */
async function shelfFolder(search: Search): Promise<string> {
  const { ID = "linux", VERSION_ID = "rolling" } = await readOsRelease();
  return join(cacheFolder(search), `${process.platform}-${process.arch}-${ID}-${VERSION_ID}`);
}

/** Reads `/etc/os-release`; empty where there is none. */
async function readOsRelease(): Promise<Record<string, string>> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "");
  const pairs = [...text.matchAll(/^([A-Z_]+)="?([^"\n]*)"?$/gm)];
  return Object.fromEntries(pairs.map(([, name = "", value = ""]) => [name, value]));
}

async function libraryFolders(root: string): Promise<string[]> {
  const folders = [join(root, "usr/lib"), join(root, "lib")];
  const nested = folders.map(async (folder) =>
    (await listFolder(folder))
      .filter((name) => name.includes("-linux-"))
      .map((name) => join(folder, name)),
  );
  return [...(await Promise.all(nested)).flat(), ...folders];
}

async function listFolder(folder: string): Promise<string[]> {
  // What cannot be listed holds nothing for us.
  return await readdir(folder).catch(() => []);
}
