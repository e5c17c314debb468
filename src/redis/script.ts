import { createHash } from "node:crypto";
import { Command, Redis } from "ioredis";
import { type Batch, bulk, FAILED } from "./batch.ts";
import type { FastPath, Operation } from "./operation.ts";

/** The Lua of a script, and the fast path in it. */
export interface ScriptSource {
  readonly source: string;
  readonly fastPath: FastPath | undefined;
}

/**
 * Joins operations into one script that executes any mix of them in one call. `ARGV` is what {@link Batch} gives. There are no
 * `KEYS`: a master is no cluster, and one text costs both sides less than many arguments.
 *
 * An operation that raises an error fails alone. A replica executes no operation: it answers the whole call with a `READONLY`
 * error, also where it is configured to take writes.
 *
 * `server` is the run id, which the connection knows as the last of `ARGV` (a restart ends it), and the replication id, which the script
 * reads in each call: a master that becomes a replica, takes the data of another server and is promoted again keeps its run id
 * and its connections, and gets a new replication id. An id that the server hides is `hidden`.
 */
export function composeScript(
  prelude: string,
  operations: readonly Pick<Operation<never, unknown>, "name" | "lua">[],
  fastPath?: FastPath,
): ScriptSource {
  // One function, since each run of the script creates its functions anew.
  const branches = operations.map(
    ({ name, lua }, index) =>
      `${index === 0 ? "if" : "elseif"} name == '${name}' then\n${lua.trim()}`,
  );
  return {
    fastPath,
    source: `local replication, known, requests = redis.call('INFO', 'replication'), ARGV[#ARGV], ARGV[1]
if string.match(replication, 'role:(%a+)') == 'slave' then
  return redis.error_reply('READONLY this server is a replica')
end
local idAt = string.find(replication, 'master_replid:', 1, true)
local replid = idAt and string.match(replication, '^%w+', idAt + 14) or 'hidden'
local function serverOf(known, replid)
  return (string.match(known, '^[^.]+') or 'hidden') .. '.' .. replid
end
${fastPath?.lua.trim() ?? ""}
local server = serverOf(known, replid)
${prelude.trim()}
local function execute(name, keys, argv)
${branches.join("\n")}
end
error('an unknown operation ' .. name)
end
local function run(name, keys, argv)
  local ok, reply = pcall(execute, name, keys, argv)
  if ok then return reply end
  return { '${FAILED}', type(reply) == 'table' and reply.err or tostring(reply) }
end
local oddReplies = {}
${fastPath?.oddLua.trim() ?? ""}
local replies = {}
for index, call in ipairs(cjson.decode(requests)) do replies[index] = run(call[1], call[2], call[3]) end
return { oddReplies, replies }`,
  };
}

/** Up to this length a text is written to the socket as it is; a longer one costs less as bytes. */
const LONGEST_TEXT = 1_024;

/** A script as the script cache of a master knows it. */
export class Script {
  readonly #source: string;
  readonly #sha: string;

  constructor({ source }: ScriptSource) {
    this.#source = source;
    this.#sha = createHash("sha1").update(source).digest("hex");
  }

  /** Runs the script without a request: that caches it, and shows that the server lets the user run it. */
  async load(client: Redis): Promise<void> {
    await client.eval(this.#source, 0, "[]", "");
  }

  /**
   * Runs the script by its hash. If the server does not know the hash and `stillWanted` returns true, runs it by its source.
   * @param known names the server process: its run id, or the last text that a call has returned.
   */
  run(client: Redis, batch: Batch, known: string, stillWanted: () => boolean): Promise<unknown> {
    return this.#evalsha(client, batch, known).catch((error: unknown) => {
      const unknown = error instanceof Error && error.message.startsWith("NOSCRIPT");
      if (!unknown || !stillWanted()) throw error;
      return client.eval(this.#source, 0, ...batch.args, known);
    });
  }

  #evalsha(client: Redis, batch: Batch, known: string): Promise<unknown> {
    // A client of another copy of ioredis may expect another class of commands.
    if (!(client instanceof Redis)) {
      return (client as Redis).evalsha(this.#sha, 0, ...batch.args, known);
    }
    // The batch is written once for all masters; what names the server, as the last argument, is not part of it.
    const text = batch.written(this.#sha);
    const written =
      text.length <= LONGEST_TEXT
        ? text + bulk(known)
        : Buffer.concat([batch.bytes(this.#sha), Buffer.from(bulk(known))]);
    return client.sendCommand(new WrittenCommand(written)) as Promise<unknown>;
  }
}

/** A command that is already written in the protocol. */
class WrittenCommand extends Command {
  readonly #written: string | Buffer;

  constructor(written: string | Buffer) {
    super("evalsha", [], { replyEncoding: "utf8" });
    this.#written = written;
  }

  override toWritable(): string | Buffer {
    return this.#written;
  }
}
