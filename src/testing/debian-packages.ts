import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { openApt, type Apt } from "./private-apt.ts";
import type { RedisServer, Step } from "./redis-server.ts";
import { runCommand } from "./run-command.ts";
import { cacheFolder, findProgram, foldersOnPath, type Search } from "./search.ts";
import { keepInCache, tryUnpacked } from "./server-cache.ts";

/** In Debian 12 the server binary is in `redis-tools`, and `redis-server` holds only a link to it. */
const CANDIDATES = [
  ["redis-server", "redis-tools"],
  ["valkey-server", "valkey-tools"],
] as const;
const UNPACK_WITHIN = 60_000;
const ABANDONED_AFTER = 24 * 60 * 60 * 1000;
const WORKSHOP = "fetching-";

/** Fetches a server from the packages of this Debian or Ubuntu, without root and without installing. */
export const fetchDebianPackages: Step = async (search) => {
  const obstacle = await findObstacle(search);
  if (obstacle !== undefined) return obstacle;
  const cache = cacheFolder(search);
  const workshop = await openWorkshop(cache).catch((cause: unknown) => {
    throw new Error(`cannot write ${cache} (BULLMQ_REDLOCK_CACHE sets another): ${String(cause)}`);
  });
  try {
    search.onProgress("fetching redis-server from the Debian packages, once (some 10 MB)");
    return await fetchInto(workshop, search);
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
};

async function findObstacle(search: Search): Promise<string | undefined> {
  if (search.env.BULLMQ_REDLOCK_INSTALL === "0") return "switched off by BULLMQ_REDLOCK_INSTALL=0";
  for (const program of ["apt-get", "dpkg-deb"])
    if ((await findProgram(program, foldersOnPath(search))) === undefined)
      return `no ${program} on PATH`;
  return undefined;
}

/** The workshop is in the cache, so that complete folders move to their shelf in one step. */
async function openWorkshop(cache: string): Promise<string> {
  await mkdir(cache, { recursive: true });
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    if (name.startsWith(WORKSHOP) && (await isAbandoned(path)))
      await rm(path, { recursive: true, force: true });
  }
  return await mkdtemp(join(cache, WORKSHOP));
}

async function isAbandoned(workshop: string): Promise<boolean> {
  // Another process may remove it at this moment.
  const found = await stat(workshop).catch(() => undefined);
  return found !== undefined && Date.now() - found.mtimeMs > ABANDONED_AFTER;
}

async function fetchInto(workshop: string, search: Search): Promise<RedisServer | string> {
  const apt = await openApt(workshop, search.env, CANDIDATES.flat());
  const update = await apt.run("update");
  // One broken source among several does not matter if the packages are found in another.
  const refusals: string[] = update.ok ? [] : [`apt-get update: ${findComplaint(update.output)}`];
  for (const packages of CANDIDATES) {
    const root = join(workshop, packages[0]);
    const refusal = await unpack(packages, root, apt, search);
    const found = refusal ?? (await tryUnpacked(root, "debian-packages"));
    if (typeof found !== "string")
      return await tryUnpacked(await keepInCache(root, search), "debian-packages");
    refusals.push(`${packages[0]}: ${found}`);
  }
  return refusals.join("; ");
}

/** Unpacks the packages and those they need that this system lacks; returns why it could not. */
async function unpack(
  packages: readonly string[],
  root: string,
  apt: Apt,
  { env }: Search,
): Promise<string | undefined> {
  const plan = await apt.run("install", "-s", "--no-install-recommends", ...packages);
  if (!plan.ok) return findComplaint(plan.output);
  const names = [...plan.output.matchAll(/^Inst (\S+)/gm)].map(([, name = ""]) => name);
  // Another C library than the one of the system's loader would break every program.
  const wanted = names.filter((name) => !/^(libc6|libc-bin)\b/.test(name));
  const download = await apt.run("download", ...wanted);
  if (!download.ok) return findComplaint(download.output);
  await mkdir(root);
  for (const file of await readdir(apt.downloads)) {
    const deb = join(apt.downloads, file);
    const unpacked = await runCommand("dpkg-deb", ["-x", deb, root], {
      env,
      timeout: UNPACK_WITHIN,
    });
    if (!unpacked.ok) return `dpkg-deb -x ${file}: ${findComplaint(unpacked.output)}`;
    // The next candidate unpacks only its own.
    await rm(deb);
  }
  return undefined;
}

function findComplaint(output: string): string {
  const lines = output.trim().split("\n");
  const errors = lines.filter((line) => line.startsWith("E: "));
  return (errors.length > 0 ? errors : lines).slice(-3).join(" / ");
}
