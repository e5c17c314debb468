import { refuseUnknownOptions } from "../check-options.ts";
import { fetchDebianPackages } from "./debian-packages.ts";
import { lookInUsualPlaces, lookOnPath, takeNamedServer } from "./installed-servers.ts";
import { NoRedisServerError, type SearchAttempt } from "./no-redis-server-error.ts";
import type { RedisServer } from "./redis-server.ts";
import type { Search, Step } from "./search.ts";
import { lookInCache } from "./server-cache.ts";

const USUAL_PLACES = [
  "/usr/bin",
  "/usr/local/bin",
  "/opt/homebrew/bin",
  "/home/linuxbrew/.linuxbrew/bin",
];

const STEPS: readonly (readonly [name: string, take: Step])[] = [
  ["PATH", lookOnPath],
  ["the usual places", lookInUsualPlaces],
  ["the cache of an earlier run (BULLMQ_REDLOCK_CACHE)", lookInCache],
  ["the Debian packages", fetchDebianPackages],
];

const REMEDY =
  "install redis or valkey by the package manager of this system, or set BULLMQ_REDLOCK_REDIS_BIN to the path of a server";

/** Options of {@link findRedisServer}. */
export interface FindRedisServerOptions {
  /** The environment to look in. Default `process.env`. */
  env?: NodeJS.ProcessEnv;
  /** Folders to look in after those of PATH. Default: where package managers put programs. */
  places?: readonly string[];
  /** Called with one line when something takes long, such as the first fetch of a server. */
  onProgress?: (line: string) => void;
}

/**
 * Finds a `redis-server` or `valkey-server` of version 6.2 or later, and fetches one if need be.
 *
 * In this order: the binary that `BULLMQ_REDLOCK_REDIS_BIN` names; PATH; the usual places; the cache
 * of an earlier run (`BULLMQ_REDLOCK_CACHE`, else `~/.cache/bullmq-redlock`); the packages of this
 * Debian or Ubuntu, unpacked into the cache without root and without installing them (not with
 * `BULLMQ_REDLOCK_INSTALL=0`).
 *
 * @throws NoRedisServerError which lists every step and the remedy.
 */
export async function findRedisServer(options: FindRedisServerOptions = {}): Promise<RedisServer> {
  refuseUnknownOptions("", options, ["env", "places", "onProgress"]);
  const { env = process.env, places = USUAL_PLACES, onProgress = () => undefined } = options;
  const search: Search = { env, places, onProgress };
  const named = await takeNamedServer(search);
  if (named !== undefined) return named;
  const attempts: SearchAttempt[] = [];
  for (const [step, take] of STEPS) {
    const found = await take(search).catch(describeFailure);
    if (typeof found !== "string") return found;
    attempts.push({ step, reason: found });
  }
  throw new NoRedisServerError(attempts, REMEDY);
}

function describeFailure(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
