import { resolve } from "node:path";
import { NoRedisServerError } from "./no-redis-server-error.ts";
import { tryServer, type RedisServer } from "./redis-server.ts";
import { findProgram, foldersOnPath, type Search, type Step } from "./search.ts";

/** The names a server binary goes by, the wanted one first. */
const SERVER_NAMES = ["redis-server", "valkey-server"];

const VARIABLE = "BULLMQ_REDLOCK_REDIS_BIN";

/**
 * Takes the server that the environment names.
 *
 * @throws NoRedisServerError when that is no server: a named server is never replaced by another.
 */
export async function takeNamedServer(search: Search): Promise<RedisServer | undefined> {
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

/** Looks in the folders of PATH. */
export const lookOnPath: Step = async (search) => await lookIn(foldersOnPath(search), "path");

/** Looks where package managers put servers, should PATH lack those folders. */
export const lookInUsualPlaces: Step = async ({ places }) => await lookIn(places, "usual-place");

/** Looks in folders: the first server that works there, or why there is none. */
export async function lookIn(
  folders: readonly string[],
  source: RedisServer["source"],
  env: RedisServer["env"] = {},
): Promise<RedisServer | string> {
  const refusals: string[] = [];
  for (const name of SERVER_NAMES) {
    const path = await findProgram(name, folders);
    if (path === undefined) continue;
    const found = await tryServer({ path, source, env });
    if (typeof found !== "string") return found;
    refusals.push(found);
  }
  const nothing = `no ${SERVER_NAMES.join(" or ")} in ${folders.join(", ") || "no folder"}`;
  return refusals.join("; ") || nothing;
}
