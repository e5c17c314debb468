import { acquireOperation } from "../lock/acquire-operation.ts";
import { armOperation } from "../lock/arm-operation.ts";
import { extendOperation } from "../lock/extend-operation.ts";
import { unlisted } from "../lock/lock-identity.ts";
import { readOperation } from "../lock/read-operation.ts";
import { SCAN_START, scanOperation } from "../lock/scan-operation.ts";
import { releaseOperation } from "../lock/release-operation.ts";
import { type Names, namesUnder } from "../lock/stored-lock.ts";
import type { Random } from "../random.ts";
import { Batch } from "../redis/batch.ts";
import { NodeError } from "../redis/node-error.ts";
import { type AnyRequest, type Operation, Request } from "../redis/operation.ts";
import { composeScript, Script } from "../redis/script.ts";
import { cancelOperation, requestOperation } from "../waiters/cancel-operation.ts";
import { dueOperation } from "../waiters/due-operation.ts";
import { pageOperation, sizesOperation } from "../waiters/repair-operations.ts";
import { joinOperation } from "../waiters/join-operation.ts";
import { LOCK_PRELUDE, lockOperations } from "../waiters/script.ts";
import { serveOperation } from "../waiters/serve-operation.ts";
import { permitted, type Probe, type Refusal } from "./probe.ts";

/** How permissions are checked. */
export interface PermissionCheck {
  readonly random: Random;
  readonly prefix: string;
  /** Whether votes depend on the guard. */
  readonly guarded: boolean;
  readonly runId: string;
}

/** Milliseconds: long enough for a slow server, short enough to expire soon if this process dies. */
const PROBE_TTL = 2_000;

/**
 * Reads all keys at once, as the fast path does, and deletes what the check has stored; where DEL is refused, the keys
 * expire at once.
 */
const cleanUpOperation: Operation<{ readonly keys: readonly string[] }, void> = {
  name: "read all",
  lua: `
  for i = 1, #keys do
    local deleted = redis.pcall('DEL', keys[i])
    if type(deleted) == 'table' then redis.pcall('SET', keys[i], '', 'PX', 1) end
  end
  redis.call('MGET', unpack(keys))
  return 'OK'`,
  keys: ({ keys }) => keys,
  argv: () => [],
  parse: () => {},
};

/** Redis 7.0 does not say which command a script may not run. */
const NAMING_LUA = `
local plain = redis
local function named(command, reply)
  if type(reply) == 'table' and reply.err and string.find(reply.err, 'The user executing the script', 1, true) then
    reply.err = reply.err .. ' (' .. command .. ')'
  end
  return reply
end
local redis = setmetatable({
  pcall = function(command, ...) return named(command, plain.pcall(command, ...)) end,
  call = function(command, ...)
    local reply = named(command, plain.pcall(command, ...))
    if type(reply) == 'table' and reply.err then error(reply) end
    return reply
  end,
}, { __index = plain })
`;

const composed = composeScript(LOCK_PRELUDE, [...lockOperations, cleanUpOperation]);

/** The client's script with the clean-up in it: one call, so that nothing stays behind if this process dies. */
const script = new Script({ ...composed, source: NAMING_LUA + composed.source });

/** Executes the operations of the client on keys of its own. @returns what the server refuses. */
export async function checkPermissions(
  probe: Probe,
  { random, prefix, guarded, runId }: PermissionCheck,
): Promise<Refusal[]> {
  const owner = random.owner();
  const requests = probingRequests(namesUnder(`${prefix}@probe:${owner}:`), owner, guarded);
  const batch = new Batch(requests);
  const refusals: Refusal[] = [];
  const refuse =
    (what: string) =>
    (cause: string): void =>
      void refusals.push({ what, cause });
  await permitted(() => probe.ask((client) => script.load(client)), refuse("EVAL"));
  if (refusals.length > 0) return refusals;
  const run = (): Promise<unknown> =>
    probe.ask((client) => script.run(client, batch, runId, () => true));
  const returned = await permitted(run, refuse("EVALSHA"));
  if (returned === undefined) return refusals;
  for (const [index, reply] of batch.replies(returned)?.entries() ?? []) {
    if (!(reply instanceof NodeError)) continue;
    const { reason } = reply;
    const cause = /\bkeys?\b/.test(reason) ? `${reason}; its keys begin with ${prefix}` : reason;
    const { name: what = "", looks } = requests[index]?.operation ?? {};
    refusals.push({ what, cause, ...(looks === true && { onlyForLooking: true }) });
  }
  return refusals;
}

/** Requests that together reach every command of the script. */
export function probingRequests(names: Names, owner: string, guarded: boolean): AnyRequest[] {
  const key = "key";
  const requester = { ...unlisted(owner), position: "1", run: 1, replaceable: true };
  const holder = "the permission check of ready()";
  const keys = { keys: [key], slots: [key], limits: [2] };
  const identity = { names, ...keys, owner, token: 1, holder, guarded, requester };
  const joins = { priority: 0, record: `a1@${owner}`, replaces: false };
  const refused = {
    ...identity,
    owner: `${owner}2`,
    token: 2,
    requester: { ...requester, position: "3", joins },
  };
  const newcomers = ["1", "2"].map((position) => ({
    position,
    record: `lr1@${owner}`,
    priority: 0,
    replaces: true,
  }));
  const arming = { names, quarantine: 0, longestTtl: PROBE_TTL, patience: 0 };
  const reservation = { token: 2, position: "", record: "", wakes: false, life: PROBE_TTL };
  const serving = { names, key, process: owner, ...reservation, live: true, gone: [], skipped: [] };
  const ofKey = (
    ["lock", "fence", "reservation", "waiters", "waiter", "newest", "limits", "request"] as const
  ).map((name) => names[name](key));
  return [
    ...(guarded ? [new Request(armOperation, arming)] : []),
    new Request(acquireOperation, { ...identity, ttl: PROBE_TTL / 2 }),
    new Request(extendOperation, { ...identity, ttl: PROBE_TTL }),
    new Request(readOperation, { names, key }),
    new Request(acquireOperation, { ...refused, ttl: PROBE_TTL / 2 }),
    new Request(scanOperation, { names, pattern: key, of: "wait lists", cursor: SCAN_START }),
    new Request(joinOperation, {
      names,
      keys: [key],
      limits: [2],
      process: owner,
      live: true,
      newcomers,
    }),
    new Request(cancelOperation, { names, key, token: 1, position: "2", by: holder }),
    new Request(requestOperation, { names, key }),
    new Request(releaseOperation, { ...identity, held: true, holdFor: 0, skipped: [], done: "" }),
    new Request(serveOperation, serving),
    new Request(dueOperation, { names, process: owner, queues: [{ queueId: "", servedAgo: 0 }] }),
    new Request(sizesOperation, { names, queueId: "" }),
    new Request(pageOperation, { names, key, from: 0, count: 1 }),
    new Request(cleanUpOperation, {
      keys: [...ofKey, names.due(""), names.queues, names.waiting, names.guard],
    }),
  ] as AnyRequest[];
}
