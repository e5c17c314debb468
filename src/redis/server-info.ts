import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import type { Script } from "./script.ts";

/** What a server reports about itself in `INFO`; `undefined` where it reports nothing. */
export interface ServerInfo {
  /** Names the server process; empty when the server hides it. */
  readonly runId: string;
  /** Changes with each promotion, see `composeScript`; empty when the server hides it. */
  readonly replicationId: string;
  /** For people: "Redis 7.4.1", "Valkey 8.1.1". */
  readonly product: string | undefined;
  /** The version of Redis, or the one that a compatible server reports. */
  readonly version: string | undefined;
  /** Milliseconds since its start. */
  readonly uptime: number | undefined;
  readonly mode: string | undefined;
  readonly replica: boolean;
  /** The number of connected replicas. */
  readonly replicas: number;
  readonly loading: boolean;
  readonly evictionPolicy: string | undefined;
  readonly appendOnly: boolean | undefined;
  /** Its clock, in milliseconds since 1970. */
  readonly time: number | undefined;
}

/** Reads the reply to `INFO`. */
export function parseServerInfo(text: string): ServerInfo {
  const fields = new Map<string, string>();
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const count = (name: string): number | undefined => {
    const value = fields.get(name);
    return value === undefined || !/^\d+$/.test(value) ? undefined : Number(value);
  };
  const version = fields.get("redis_version");
  const valkey = fields.get("valkey_version");
  const seconds = count("uptime_in_seconds");
  const appendOnly = count("aof_enabled");
  const microseconds = count("server_time_usec");
  const clustered = fields.get("cluster_enabled") === "1";
  return {
    runId: fields.get("run_id") ?? "",
    replicationId: fields.get("master_replid") ?? "",
    product: valkey === undefined ? version && `Redis ${version}` : `Valkey ${valkey}`,
    version,
    uptime: seconds === undefined ? undefined : seconds * 1_000,
    // Valkey 8 calls it otherwise.
    mode: clustered ? "cluster" : (fields.get("redis_mode") ?? fields.get("server_mode")),
    replica: fields.get("role") === "slave",
    replicas: count("connected_slaves") ?? 0,
    loading: fields.get("loading") === "1",
    evictionPolicy: fields.get("maxmemory_policy"),
    appendOnly: appendOnly === undefined ? undefined : appendOnly === 1,
    time: microseconds === undefined ? undefined : microseconds / 1_000,
  };
}

/** Why a server must not be used as a master. */
interface UnusableReason {
  readonly code: "replica" | "cluster-mode" | "version" | "loading";
  /** What was found, and what is expected. */
  readonly cause: string;
}

/** The oldest Redis that the scripts are tested with. */
const OLDEST_VERSION = { major: 6, minor: 2 };

/** Returns why a server must not be used as a master; `undefined` for a usable server. */
export function unusableReason(info: ServerInfo): UnusableReason | undefined {
  const { version, mode, replica, loading } = info;
  if (replica) return { code: "replica", cause: "a replica, expected a master" };
  if (mode === "cluster" || mode === "sentinel") {
    return { code: "cluster-mode", cause: `a server in ${mode} mode, expected one on its own` };
  }
  if (version !== undefined && isTooOld(version)) {
    const { major, minor } = OLDEST_VERSION;
    return { code: "version", cause: `version ${version}, expected ${major}.${minor} or later` };
  }
  if (loading) return { code: "loading", cause: "a server that is still loading its data" };
  return undefined;
}

/**
 * Describes a server's clock that is certainly further from ours than `farthest` ms; `undefined` for any other.
 * @param asked our clock before the request, in milliseconds since 1970.
 * @param answered our clock after the answer.
 */
function describeFarClock(
  { time }: ServerInfo,
  { asked, answered, farthest }: { asked: number; answered: number; farthest: number },
): string | undefined {
  if (time === undefined) return undefined;
  const ahead = time - answered;
  const behind = asked - time;
  const off = Math.max(ahead, behind);
  if (off <= farthest) return undefined;
  return `its clock is ${seconds(off)} ${ahead > 0 ? "ahead of" : "behind"} ours, expected at most ${seconds(farthest)}`;
}

function seconds(ms: number): string {
  return `${Math.floor(ms / 1_000)} s`;
}

function isTooOld(version: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  if (major === undefined || minor === undefined) return false;
  if (major !== OLDEST_VERSION.major) return major < OLDEST_VERSION.major;
  return minor < OLDEST_VERSION.minor;
}

/** The server process that a connection leads to. */
export interface ServerProcess {
  /** Its run id; empty when the server hides it. */
  readonly id: string;
  readonly startedAt: number | undefined;
}

/**
 * Prepares a new connection for requests.
 * @param farthestClock largest difference, in ms, between the server's clock and ours.
 * @throws {Error} that explains why the server must not be used.
 */
export async function prepareServer(
  client: Redis,
  script: Script,
  db: number,
  { clock, farthestClock: farthest }: { clock: Clock; farthestClock: number },
): Promise<ServerProcess> {
  // ioredis stays in database 0 when its own SELECT fails.
  if (db !== 0) await client.select(db);
  const asked = clock.wall();
  // Before the script: a server that wants a password may hang up on so long a text, and its reason would be lost.
  const info = parseServerInfo(await client.info());
  const unusable =
    unusableReason(info)?.cause ??
    describeFarClock(info, { asked, answered: clock.wall(), farthest });
  if (unusable !== undefined) throw new Error(unusable);
  await script.load(client);
  return {
    id: info.runId,
    startedAt: info.uptime === undefined ? undefined : clock.now() - info.uptime,
  };
}
