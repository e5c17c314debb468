/**
 * One thing a master does atomically: Lua on the server, a typed value here.
 *
 * The Lua is the body of a function of `keys` and `argv`, all of them strings; it ends by returning a status, or an array
 * whose first element is one. It may use the functions of the program's prelude, and `server`: the identity of the master
 * that executes it, see {@link composeProgram}.
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
  /** Turns the raw reply into a typed one; throws when it is none of ours. */
  parse(reply: readonly unknown[], args: A): R;
}

/** An operation with its arguments, ready to be sent to any number of masters. */
export interface Call<A, R> {
  readonly operation: Operation<A, R>;
  readonly args: A;
  /** As it is sent: the same for all masters, so written once. */
  readonly text: string;
}

/** Half of a surrogate pair, as JSON writes it; Lua's reader refuses it. */
const LONE_SURROGATE = /\\u[dD][89a-fA-F]/;

/** Makes a call of an operation. */
export function callOf<A, R>(operation: Operation<A, R>, args: A): Call<A, R> {
  const parts = [operation.name, operation.keys(args), operation.argv(args).map(String)];
  const text = JSON.stringify(parts);
  if (!LONE_SURROGATE.test(text)) return { operation, args, text };
  return { operation, args, text: JSON.stringify(parts, wellFormed) };
}

/** Through UTF-8, where half a pair becomes U+FFFD as in every other string that is sent. */
function wellFormed(_: string, part: unknown): unknown {
  return typeof part === "string" ? Buffer.from(part).toString() : part;
}

/** A script that executes any mix of its operations in one call, each with its own status. */
export interface Program {
  readonly source: string;
}

/** The status that {@link composeProgram} gives an operation whose Lua raised an error. */
export const FAILED = "ERROR";

/** The reply of one operation, as its `parse` takes it; `undefined` for what is none of ours. */
export function replyOf(raw: unknown): readonly unknown[] | undefined {
  if (typeof raw === "string") return [raw];
  return Array.isArray(raw) ? raw : undefined;
}

/**
 * Joins operations into one script. `ARGV` is what {@link encodeCalls} gives. There are no `KEYS`: a master is a server of
 * its own, and one text costs both sides less than many arguments.
 *
 * An operation that raises an error fails alone: the others of the call have their own results. A replica executes
 * none of them: it answers the whole call with a `READONLY` error, also where it is configured to take writes.
 *
 * `server` is the run id, which the connection knows (a restart ends it), and the replication id, which the script itself
 * reads in each call: a master that becomes a replica, takes the data of another and is promoted again keeps its run id and
 * its connections, and gets a new replication id. What a server hides is `hidden`.
 */
export function composeProgram(
  prelude: string,
  operations: readonly Pick<Operation<never, unknown>, "name" | "lua">[],
): Program {
  // One function, since each run of the script makes its functions anew.
  const branches = operations.map(
    ({ name, lua }, index) =>
      `${index === 0 ? "if" : "elseif"} name == '${name}' then\n${lua.trim()}`,
  );
  return {
    source: `local replication = redis.call('INFO', 'replication')
if string.match(replication, 'role:(%a+)') == 'slave' then
  return redis.error_reply('READONLY this server is a replica')
end
local runId = ARGV[2] ~= '' and ARGV[2] or 'hidden'
local server = runId .. '.' .. (string.match(replication, 'master_replid:(%w+)') or 'hidden')
${prelude.trim()}
local function execute(name, keys, argv)
${branches.join("\n")}
end
error('an unknown operation ' .. name)
end
local replies = {}
for index, call in ipairs(cjson.decode(ARGV[1])) do
  local ok, reply = pcall(execute, call[1], call[2], call[3])
  if ok then
    replies[index] = reply
  else
    replies[index] = { '${FAILED}', type(reply) == 'table' and reply.err or tostring(reply) }
  end
end
return replies`,
  };
}

/** The arguments of one script call that executes `calls` in order in the server process with the given run id. */
export function encodeCalls(
  calls: readonly Call<unknown, unknown>[],
  runId: string,
): [calls: string, runId: string] {
  return [`[${calls.map(({ text }) => text).join()}]`, runId];
}
