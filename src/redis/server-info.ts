/** What a server says about itself in `INFO`; `undefined` where it does not say. */
export interface ServerInfo {
  /** Names the server process; empty when the server hides it. */
  readonly runId: string;
  /** Another one after each promotion, see `composeScript`; empty when the server hides it. */
  readonly replicationId: string;
  /** For people: "Redis 7.4.1", "Valkey 8.1.1". */
  readonly product: string | undefined;
  /** The version of Redis that it is, or stands for. */
  readonly version: string | undefined;
  /** Milliseconds since its start. */
  readonly uptime: number | undefined;
  readonly mode: string | undefined;
  readonly replica: boolean;
  /** How many replicas are connected. */
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
    mode: clustered ? "cluster" : fields.get("redis_mode"),
    replica: fields.get("role") === "slave",
    replicas: count("connected_slaves") ?? 0,
    loading: fields.get("loading") === "1",
    evictionPolicy: fields.get("maxmemory_policy"),
    appendOnly: appendOnly === undefined ? undefined : appendOnly === 1,
    time: microseconds === undefined ? undefined : microseconds / 1_000,
  };
}

/** Why the votes of a server would be worth nothing. */
export interface Unfitness {
  readonly code: "replica" | "cluster-mode" | "version" | "loading";
  /** Found and expected. */
  readonly cause: string;
}

/** The oldest Redis that the scripts are tested with. */
const OLDEST_VERSION = { major: 6, minor: 2 };

/** Says why a server must not vote, if it must not. */
export function unfitness({ version, mode, replica, loading }: ServerInfo): Unfitness | undefined {
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
 * Says that a server's clock is further from ours than `farthest` ms, if it is for sure.
 * @param asked our clock before it was asked, in milliseconds since 1970.
 * @param answered our clock after it has answered.
 */
export function describeFarClock(
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
