import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type as systemName } from "node:os";
import { basename } from "node:path";
import { findRedisServer } from "../../dist/testing/find-redis-server.js";

/** Packages whose versions are told. */
const PACKAGES = ["bullmq", "ioredis", "redlock", "redlock-universal", "redis-semaphore"];

/** On what was measured, one fact a line. */
export async function describeMachine(): Promise<string[]> {
  const [cpu] = cpus();
  const server = await findRedisServer();
  const versions = PACKAGES.map((name) => `${name} ${versionOf(name)}`).join(", ");
  return [
    `${cpus().length} cores, ${cpu?.model.trim() ?? "unknown"}; ${(totalmem() / 2 ** 30).toFixed(0)} GB; ${systemName()} ${release()}`,
    `Node ${process.version}; ${basename(server.path)} ${server.version}, one process a master, on the same machine, without persistence`,
    versions,
  ];
}

/** The load of the machine, ours included, as it is now. */
export function loadNow(): string {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(", ");
}

function versionOf(name: string): string {
  for (const folder of ["../node_modules", "../../node_modules"]) {
    try {
      const url = new URL(`${folder}/${name}/package.json`, import.meta.url);
      const { version } = JSON.parse(readFileSync(url, "utf8")) as { version: string };
      return version;
    } catch {
      // Not in this folder.
    }
  }
  return "(not found)";
}
