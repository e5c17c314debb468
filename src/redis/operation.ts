import type { NodeError } from "./node-error.ts";

/**
 * One thing a master does atomically: Lua on the server, a typed value here.
 *
 * The Lua is the body of a function of `keys` and `argv`, all of them strings; it ends by returning a status, or an array
 * whose first element is one. It may use the functions of the program's prelude, and `server`: the identity of the master
 * that executes it, see {@link composeScript}.
 */
export interface Operation<A, R> {
  readonly name: string;
  readonly lua: string;
  keys(args: A): readonly string[];
  argv(args: A): readonly (string | number)[];
  /**
   * True for what may be executed again, and late: if the connection is lost before there is an answer, the next one
   * executes it first, although nobody waits for it any more.
   */
  readonly owed?: boolean;
  /**
   * True for what is asked of a lock that was granted: it does not have the patience of a new client for the first
   * connection, because a master that was never connected has no part in the lock.
   */
  readonly prompt?: boolean;
  /** Turns the raw reply into a typed one; throws when it is none of ours. */
  parse(reply: readonly unknown[], args: A): R;
  /** How the fast path of the program serves the operation, if it does. */
  readonly fast?: {
    /** The call as the fast path takes it; `undefined` for one that is out of the ordinary from the first. */
    entry(args: A): FastEntry | undefined;
    /** What it means that the fast path has served the call. */
    served(args: A): R;
  };
}

/** A call as the fast path of a program takes it. */
export interface FastEntry {
  /** Entries are served by ascending rank. */
  readonly rank: number;
}

/**
 * The part of a program that serves ordinary calls all together, without a text for each. It leaves the others, which are
 * odd, to the operations.
 */
export interface FastPath {
  /** Lua that serves entries; returns 1 if none is odd, and there is no other call. */
  readonly lua: string;
  /** Lua that executes odd entries by `run(name, keys, argv)`, and fills `oddReplies` with pairs of an index and a reply. */
  readonly oddLua: string;
  /** The arguments of calls with sorted entries, from `ARGV[2]` on. */
  encode(calls: readonly AnyRequest[]): string[];
}

/** What becomes of a call at each master that it is sent to: exactly one of the first two, and never before it is sent. */
export interface Responses<R> {
  /** The master answered in time. */
  answer(node: number, reply: R, sentAt: number): void;
  /** The master did not answer in time, or its answer does not count. */
  failure(node: number, error: NodeError): void;
  /** The master answered after `failure` was called. */
  late?(node: number, reply: R, sentAt: number): void;
}

/** An operation with its arguments, ready to be sent to any number of masters. */
export class Request<A, R> {
  readonly operation: Operation<A, R>;
  readonly args: A;
  readonly responses: Responses<R>;
  readonly entry: FastEntry | undefined;
  #text: string | undefined;

  constructor(operation: Operation<A, R>, args: A, responses: Responses<R> = UNHEARD) {
    this.operation = operation;
    this.args = args;
    this.responses = responses;
    this.entry = operation.fast?.entry(args);
  }

  /** As it is sent when no fast path serves it: the same for all masters, so written once. */
  get text(): string {
    this.#text ??= textOf(this.operation, this.args);
    return this.#text;
  }
}

/** A call of any operation. */
export type AnyRequest = Request<unknown, unknown>;

const UNHEARD: Responses<unknown> = { answer: () => {}, failure: () => {} };

/** Half of a surrogate pair, as JSON writes it; Lua's reader refuses it. */
const LONE_SURROGATE = /\\u[dD][89a-fA-F]/;

function textOf<A>(operation: Operation<A, unknown>, args: A): string {
  const parts = [operation.name, operation.keys(args), operation.argv(args).map(String)];
  const text = JSON.stringify(parts);
  return LONE_SURROGATE.test(text) ? JSON.stringify(parts, wellFormed) : text;
}

/** Through UTF-8, where half a pair becomes U+FFFD as in every other string that is sent. */
function wellFormed(_: string, part: unknown): unknown {
  return typeof part === "string" ? Buffer.from(part).toString() : part;
}

/** A script that executes any mix of its operations in one call, each with its own status. */
export interface ScriptSource {
  readonly source: string;
  readonly fastPath: FastPath | undefined;
}

/** The status that {@link composeScript} gives an operation whose Lua raised an error. */
export const FAILED = "ERROR";

/**
 * Joins operations into one script. `ARGV` is what `Batch` gives. There are no `KEYS`: a master is a server of
 * its own, and one text costs both sides less than many arguments.
 *
 * An operation that raises an error fails alone: the others of the call have their own results. A replica executes
 * none of them: it answers the whole call with a `READONLY` error, also where it is configured to take writes.
 *
 * `server` is the run id, which the connection knows (a restart ends it), and the replication id, which the script itself
 * reads in each call: a master that becomes a replica, takes the data of another and is promoted again keeps its run id and
 * its connections, and gets a new replication id. What a server hides is `hidden`.
 */
export function composeScript(
  prelude: string,
  operations: readonly Pick<Operation<never, unknown>, "name" | "lua">[],
  fastPath?: FastPath,
): ScriptSource {
  // One function, since each run of the script makes its functions anew.
  const branches = operations.map(
    ({ name, lua }, index) =>
      `${index === 0 ? "if" : "elseif"} name == '${name}' then\n${lua.trim()}`,
  );
  return {
    fastPath,
    source: `local replication = redis.call('INFO', 'replication')
if string.match(replication, 'role:(%a+)') == 'slave' then
  return redis.error_reply('READONLY this server is a replica')
end
local runId = ARGV[#ARGV] ~= '' and ARGV[#ARGV] or 'hidden'
local server = runId .. '.' .. (string.match(replication, 'master_replid:(%w+)') or 'hidden')
${fastPath?.lua.trim() ?? ""}
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
for index, call in ipairs(cjson.decode(ARGV[1])) do replies[index] = run(call[1], call[2], call[3]) end
return { oddReplies, replies }`,
  };
}
