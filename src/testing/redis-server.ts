import { runCommand } from "./run-command.ts";
import { findProgram, type Search } from "./search.ts";

const SERVER_NAMES = ["redis-server", "valkey-server"];

const OLDEST = { major: 6, minor: 2 };
const ANSWER_WITHIN = 10_000;

/** A server binary that works on this machine. */
export interface RedisServer {
  /** The absolute path of the binary. */
  path: string;
  /** Such as `7.0.15`. */
  version: string;
  /** Where it comes from. */
  source: "environment" | "path" | "usual-place" | "cache" | "debian-packages";
  /** Environment variables it needs, over those of this process. */
  env: Record<string, string>;
}

/** One way to get a server: gives the server, or why it has none, in words. */
export type Step = (search: Search) => Promise<RedisServer | string>;

/** Runs a supposed server with `--version`: the server, or why it is none, in words. */
export async function tryServer(
  server: Omit<RedisServer, "version">,
): Promise<RedisServer | string> {
  const { ok, output } = await runCommand(server.path, ["--version"], {
    env: { ...process.env, ...server.env },
    timeout: ANSWER_WITHIN,
  });
  if (!ok) return `${server.path} --version failed: ${shorten(output)}`;
  const match = /^(?:Redis|Valkey) server v=(\d+)\.(\d+)\S*/.exec(output);
  if (match === null)
    return `${server.path} is not a Redis or Valkey server: its --version prints "${shorten(output)}"`;
  const [major, minor] = [Number(match[1]), Number(match[2])];
  const version = match[0].slice(match[0].indexOf("=") + 1);
  if (major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor))
    return `${server.path} is version ${version}, older than ${OLDEST.major}.${OLDEST.minor}`;
  return { ...server, version };
}

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

function shorten(output: string): string {
  const [first = ""] = output.trim().split("\n");
  return first.slice(0, 200);
}
