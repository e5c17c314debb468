import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { RedisServer } from "./redis-server.ts";
import { runCommand } from "./run-command.ts";
import { cacheFolder, findProgram, foldersOnPath, type Search } from "./search.ts";
import { keepInCache, tryUnpacked } from "./server-cache.ts";

const STEP = "Debian packages, unpacked without installing";
/** In Debian 12 the server binary is in `redis-tools`, and `redis-server` holds only links to it. */
const CANDIDATES = [
  ["redis-server", "redis-tools"],
  ["valkey-server", "valkey-tools"],
];
const COMMAND_TIMEOUT = 240_000;
const ABANDONED_AFTER = 24 * 60 * 60 * 1000;
const WORKSHOP = "fetching-";

/** Fetches a server from the packages of this Debian or Ubuntu, without root and without installing. */
export async function fetchDebianPackages(search: Search): Promise<RedisServer | undefined> {
  const obstacle = await findObstacle(search);
  if (obstacle !== undefined) {
    search.attempts.push({ step: STEP, reason: obstacle });
    return undefined;
  }
  let workshop: string | undefined;
  try {
    workshop = await openWorkshop(cacheFolder(search));
    return await fetchInto(workshop, search);
  } catch (error) {
    search.attempts.push({ step: STEP, reason: String(error) });
    return undefined;
  } finally {
    if (workshop !== undefined) await rm(workshop, { recursive: true, force: true });
  }
}

/**
 * The apt configuration that keeps everything apt writes in one folder. It clears the hooks of this
 * system, which would change it (`docker-clean` removes archives, others refresh catalogues), and
 * insists on signatures.
 */
export function writeAptConfig(folder: string): string {
  return `
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke-Stats;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
Dir::State "${folder}/state";
Dir::Cache "${folder}/cache";
Dir::Log "${folder}/log";
APT::Sandbox::User "${userInfo().username}";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb-src::Sources::DefaultEnabled "false";
Acquire::Retries "2";
`;
}

async function findObstacle(search: Search): Promise<string | undefined> {
  if (search.env.BULLMQ_REDLOCK_INSTALL === "0") return "switched off by BULLMQ_REDLOCK_INSTALL=0";
  const folders = foldersOnPath(search);
  for (const program of ["apt-get", "dpkg-deb"])
    if ((await findProgram(program, folders)) === undefined) return `no ${program} on PATH`;
  return undefined;
}

async function openWorkshop(cache: string): Promise<string> {
  await mkdir(cache, { recursive: true });
  for (const name of await readdir(cache)) {
    const path = join(cache, name);
    if (name.startsWith(WORKSHOP) && Date.now() - (await stat(path)).mtimeMs > ABANDONED_AFTER)
      await rm(path, { recursive: true, force: true });
  }
  return await mkdtemp(join(cache, WORKSHOP));
}

async function fetchInto(workshop: string, search: Search): Promise<RedisServer | undefined> {
  const apt = await prepareApt(workshop, search);
  search.onProgress("fetching redis-server from the Debian packages, once (some 10 MB)");
  // One broken source among several does not matter if the packages are found in another.
  const update = await apt("update");
  const refusals: string[] = update.ok ? [] : [`apt-get update: ${lastLines(update.output)}`];
  for (const packages of CANDIDATES) {
    const [name = ""] = packages;
    const root = join(workshop, name);
    const refusal = await unpack(packages, root, apt, search);
    const found = refusal ?? (await tryUnpacked(root, "debian packages"));
    if (typeof found !== "string") {
      const kept = await tryUnpacked(await keepInCache(root, search), "debian packages");
      if (typeof kept !== "string") return kept;
      refusals.push(kept);
    } else refusals.push(`${name}: ${found}`);
  }
  search.attempts.push({ step: STEP, reason: refusals.join("; ") });
  return undefined;
}

type Apt = (...args: string[]) => Promise<{ ok: boolean; output: string }>;

async function prepareApt(workshop: string, { env }: Search): Promise<Apt> {
  const config = join(workshop, "apt.conf");
  await writeFile(config, writeAptConfig(workshop));
  for (const folder of ["state/lists/partial", "cache/archives/partial", "log", "debs"])
    await mkdir(join(workshop, folder), { recursive: true });
  return async (...args) =>
    await runCommand("apt-get", ["-q", "-c", config, ...args], {
      cwd: join(workshop, "debs"),
      env: { ...env, LC_ALL: "C" },
      timeout: COMMAND_TIMEOUT,
    });
}

/** Unpacks the packages and those they need that this system lacks; returns why it could not. */
async function unpack(
  packages: readonly string[],
  root: string,
  apt: Apt,
  { env }: Search,
): Promise<string | undefined> {
  const plan = await apt("install", "-s", "--no-install-recommends", "--reinstall", ...packages);
  if (!plan.ok) return lastLines(plan.output);
  const names = [...plan.output.matchAll(/^Inst (\S+)/gm)].map(([, name = ""]) => name);
  // Another C library than the one of the system's loader would break every program.
  const wanted = names.filter((name) => !/^(libc6|libc-bin)\b/.test(name));
  const download = await apt("download", ...wanted);
  if (!download.ok) return lastLines(download.output);
  const debs = join(root, "..", "debs");
  await mkdir(root);
  for (const file of await readdir(debs)) {
    const unpacked = await runCommand("dpkg-deb", ["-x", join(debs, file), root], {
      env: { ...env, LC_ALL: "C" },
      timeout: COMMAND_TIMEOUT,
    });
    if (!unpacked.ok) return `dpkg-deb -x ${file}: ${lastLines(unpacked.output)}`;
  }
  return undefined;
}

function lastLines(output: string): string {
  return output.trim().split("\n").slice(-3).join(" / ");
}
