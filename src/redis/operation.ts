/**
 * One thing a master does atomically: Lua on the server, a typed value here.
 *
 * The Lua is the body of `function(keys, argv)`; it returns an array whose first element is a status. It may
 * use the functions of the program's prelude.
 */
export interface Operation<A, R> {
  readonly name: string;
  readonly lua: string;
  keys(args: A): readonly string[];
  /** @param server the identity of the very process the call goes to. */
  argv(args: A, server: string): readonly (string | number)[];
  /**
   * True for what may be executed again, and late: if the connection is lost before there is an answer, the next one
   * executes it first, although nobody waits for it any more.
   */
  readonly owed?: boolean;
  /** Turns the raw reply into a typed one; throws when it is none of ours. */
  parse(reply: readonly unknown[], args: A): R;
}

/** An operation with its arguments, ready to be sent. */
export interface Call<A, R> {
  readonly operation: Operation<A, R>;
  readonly args: A;
}

/** A script that executes any mix of its operations in one call, each with its own status. */
export interface Program {
  readonly source: string;
}

/** The status that {@link composeProgram} gives an operation whose Lua raised an error. */
export const FAILED = "ERROR";

/**
 * Joins operations into one script. `ARGV` is the number of calls, then for each call its name, its number of
 * keys, its number of arguments and the arguments; `KEYS` are the keys of all calls in the same order.
 *
 * An operation that raises an error fails alone: the others of the call have their own results.
 */
export function composeProgram(
  prelude: string,
  operations: readonly Pick<Operation<never, unknown>, "name" | "lua">[],
): Program {
  const handlers = operations.map(
    ({ name, lua }) => `operations['${name}'] = function(keys, argv)\n${lua.trim()}\nend`,
  );
  return {
    source: `${prelude.trim()}
local operations = {}
${handlers.join("\n")}
local replies, key, arg = {}, 0, 1
for call = 1, tonumber(ARGV[1]) do
  local name, keyCount, argCount = ARGV[arg + 1], tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local keys, argv = {}, {}
  for i = 1, keyCount do keys[i] = KEYS[key + i] end
  for i = 1, argCount do argv[i] = ARGV[arg + 3 + i] end
  key, arg = key + keyCount, arg + 3 + argCount
  local ok, reply = pcall(operations[name], keys, argv)
  if ok then
    replies[call] = reply
  else
    replies[call] = { '${FAILED}', type(reply) == 'table' and reply.err or tostring(reply) }
  end
end
return replies`,
  };
}

/** The keys and arguments of one script call that executes `calls` in order. */
export function encodeCalls(
  calls: readonly Call<unknown, unknown>[],
  server: string,
): {
  keys: string[];
  argv: (string | number)[];
} {
  const keys: string[] = [];
  const argv: (string | number)[] = [calls.length];
  for (const { operation, args } of calls) {
    const callKeys = operation.keys(args);
    const callArgv = operation.argv(args, server);
    for (const key of callKeys) keys.push(key);
    argv.push(operation.name, callKeys.length, callArgv.length);
    for (const value of callArgv) argv.push(value);
  }
  return { keys, argv };
}
