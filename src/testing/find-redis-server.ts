import { resolve } from "node:path";
import { messageOf } from "../sentences.ts";
import { fetchDebianPackages } from "./debian-packages.ts";
import { lookIn, type RedisServer, type Step, tryServer } from "./redis-server.ts";
import { findProgram, foldersOnPath, type Search } from "./search.ts";
import { lookInCache } from "./server-cache.ts";

const USUAL_PLACES = [
  "/usr/bin",
  "/usr/local/bin",
  "/opt/homebrew/bin",
  "/home/linuxbrew/.linuxbrew/bin",
];

const STEPS: readonly (readonly [name: string, take: Step])[] = [
  ["PATH", async (search) => await lookIn(foldersOnPath(search), "path")],
  ["the usual places", async ({ places }) => await lookIn(places, "usual-place")],
  ["the cache of an earlier run (BULLMQ_REDLOCK_CACHE)", lookInCache],
  ["the Debian packages", fetchDebianPackages],
];

const VARIABLE = "BULLMQ_REDLOCK_REDIS_BIN";
const REMEDY = `install redis or valkey by the package manager of this system, or set ${VARIABLE} to the path of a server`;

/**
 * Finds a `redis-server` or `valkey-server` of version 6.2 or later, and fetches one if need be.
 *
 * In this order: the binary that `BULLMQ_REDLOCK_REDIS_BIN` names; PATH; the usual places; the cache
 * of an earlier run (`BULLMQ_REDLOCK_CACHE`, else `~/.cache/bullmq-redlock`); the packages of this
 * Debian or Ubuntu, unpacked into the cache without root and without installing them (not with
 * `BULLMQ_REDLOCK_INSTALL=0`).
 *
 * @param options by default `process.env`, the folders where package managers put programs, and no report of progress.
 * @throws NoRedisServerError which lists every step and the remedy.
 */
export async function findRedisServer(options: Partial<Search> = {}): Promise<RedisServer> {
  const { env = process.env, places = USUAL_PLACES, onProgress = () => undefined } = options;
  const search: Search = { env, places, onProgress };
  const named = await takeNamedServer(search);
  if (named !== undefined) return named;
  const attempts: SearchAttempt[] = [];
  for (const [step, take] of STEPS) {
    const found = await take(search).catch(messageOf);
    if (typeof found !== "string") return found;
    attempts.push({ step, reason: found });
  }
  throw new NoRedisServerError(attempts, REMEDY);
}

/**
 * Takes the server that the environment names.
 *
 * @throws NoRedisServerError when that is no server: a named server is never replaced by another.
 */
async function takeNamedServer(search: Search): Promise<RedisServer | undefined> {
  const named = search.env[VARIABLE];
  if (named === undefined || named === "") return undefined;
  const path = named.includes("/")
    ? resolve(named)
    : ((await findProgram(named, foldersOnPath(search))) ?? named);
  const found = await tryServer({ path, source: "environment", env: {} });
  if (typeof found !== "string") return found;
  throw new NoRedisServerError(
    [{ step: `${VARIABLE}=${named}`, reason: found }],
    `set ${VARIABLE} to the path of a redis-server or valkey-server, or unset it`,
  );
}

interface SearchAttempt {
  /** Where a server was looked for, or what was tried. */
  step: string;
  /** Why it gave no server. */
  reason: string;
}

/** There is no server on this machine and none could be fetched. The message says what to do. */
export class NoRedisServerError extends Error {
  override readonly name = "NoRedisServerError";
  readonly code = "ERR_REDLOCK_NO_SERVER";
  /** Every step tried, in order. @internal */
  readonly attempts: readonly SearchAttempt[];
  /** What to do, in a sentence. */
  readonly remedy: string;

  /** @internal */
  constructor(attempts: readonly SearchAttempt[], remedy: string) {
    const lines = attempts.map(({ step, reason }) => `  - ${step}: ${reason}`);
    super(
      `no redis-server or valkey-server (6.2 or later) found:\n${lines.join("\n")}\n` +
        `To get one: ${remedy}`,
    );
    this.attempts = attempts;
    this.remedy = remedy;
  }
}
