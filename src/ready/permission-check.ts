import { armOperation } from "../lock/arm-operation.ts";
import { dueOperation } from "../waiters/due-operation.ts";
import { LOCK_PRELUDE } from "../waiters/script.ts";
import { joinOperation } from "../waiters/join-operation.ts";
import { type Serving, serveOperation } from "../waiters/serve-operation.ts";
import { readOperation, SCAN_START, scanOperation } from "../lock/read-operation.ts";
import { acquireOperation } from "../lock/acquire-operation.ts";
import { extendOperation } from "../lock/extend-operation.ts";
import { releaseOperation } from "../lock/release-operation.ts";
import { type Names, namesUnder } from "../lock/stored-lock.ts";
import type { Random } from "../random.ts";
import { Batch } from "../redis/batch.ts";
import { NodeError } from "../redis/node-error.ts";
import { Request, type Operation } from "../redis/operation.ts";
import type { Probe } from "../redis/probe.ts";
import { composeScript, Script } from "../redis/script.ts";
import { permitted, type Refusal } from "./permission.ts";

/** How to rehearse. */
export interface PermissionCheck {
  readonly random: Random;
  readonly prefix: string;
  /** Whether votes look at the guard. */
  readonly guarded: boolean;
  readonly runId: string;
}

/** Milliseconds: long enough for a slow server, short enough to be gone soon if we vanish. */
const PROBE_TTL = 2_000;

/** What the fast path does, and no operation. */
const readAllOperation: Operation<{ readonly keys: readonly string[] }, void> = {
  name: "read all",
  lua: `
  redis.call('MGET', unpack(keys))
  return 'OK'`,
  keys: ({ keys }) => keys,
  argv: () => [],
  parse: () => {},
};

/** Deletes what a rehearsal has stored; where DEL is refused, lets it expire at once. */
const forgetOperation: Operation<{ readonly keys: readonly string[] }, void> = {
  name: "forget",
  lua: `
  for i = 1, #keys do
    local deleted = redis.pcall('DEL', keys[i])
    if type(deleted) == 'table' then redis.pcall('SET', keys[i], '', 'PX', 1) end
  end
  return 'OK'`,
  keys: ({ keys }) => keys,
  argv: () => [],
  parse: () => {},
};

/** What nothing but `isLocked`, `inspect`, `list` and the commands for operators does. */
const FOR_LOOKING: readonly string[] = [readOperation.name, scanOperation.name];

/** All that locks do, and the cleaning up, in one script: nothing stays behind, whatever happens to us. */
const program = composeScript(LOCK_PRELUDE, [
  armOperation,
  acquireOperation,
  extendOperation,
  readOperation,
  scanOperation,
  joinOperation,
  releaseOperation,
  serveOperation,
  dueOperation,
  readAllOperation,
  forgetOperation,
]);
const permissionCheck = new Script(program);

/** Executes every operation on names of its own, and tells what the server refuses. */
export async function checkPermissions(
  probe: Probe,
  { random, prefix, guarded, runId }: PermissionCheck,
): Promise<Refusal[]> {
  const owner = random.owner();
  const names = namesUnder(`${prefix}@probe:${owner}:`);
  const calls = rehearsedCalls(names, owner, guarded);
  const batch = new Batch(calls);
  const refusals: Refusal[] = [];
  const refuse = (refusal: Refusal): void => void refusals.push(refusal);
  if ((await permitted("EVAL", () => probe.ask(loadRehearsal), refuse)) === undefined)
    return refusals;
  const run = (): Promise<unknown> =>
    probe.ask((client) => permissionCheck.run(client, batch, runId, () => true));
  const returned = await permitted("EVALSHA", run, refuse);
  if (returned === undefined) return refusals;
  for (const [index, reply] of batch.replies(returned).entries()) {
    if (!(reply instanceof NodeError)) continue;
    const name = calls[index]?.operation.name ?? "";
    const only = FOR_LOOKING.includes(name) ? ({ onlyForLooking: true } as const) : {};
    refuse({ what: name, cause: reply.reason, ...only });
  }
  return refusals;
}

async function loadRehearsal(client: Parameters<Script["load"]>[0]): Promise<true> {
  await permissionCheck.load(client);
  return true;
}

function rehearsedCalls(
  names: Names,
  owner: string,
  guarded: boolean,
): Request<unknown, unknown>[] {
  const key = "key";
  const holder = "ready() looks whether it may lock";
  const requester = {
    process: owner,
    queueId: "",
    position: "1",
    run: 1,
    replaceable: true,
    joins: undefined,
  };
  const identity = { names, keys: [key], owner, token: 1, holder, guarded, requester };
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
  const waitLists = [
    names.reservation(key),
    names.waiters(key),
    names.waiter(key),
    names.newest(key),
  ];
  return [
    ...(guarded ? [new Request(armOperation, arming)] : []),
    new Request(acquireOperation, { ...identity, ttl: PROBE_TTL / 2 }),
    new Request(extendOperation, { ...identity, ttl: PROBE_TTL }),
    new Request(readOperation, { names, key }),
    new Request(acquireOperation, { ...refused, ttl: PROBE_TTL / 2 }),
    new Request(scanOperation, { names, pattern: key, cursors: SCAN_START }),
    new Request(joinOperation, { names, keys: [key], process: owner, live: true, newcomers }),
    new Request(releaseOperation, { ...identity, held: true, holdFor: 0, skipped: [], done: "" }),
    new Request(serveOperation, rehearsedServing(names, key, owner)),
    new Request(dueOperation, { names, queues: [{ queueId: "", servedAgo: 0 }] }),
    new Request(readAllOperation, { keys: [names.lock(key)] }),
    new Request(forgetOperation, {
      keys: [
        names.lock(key),
        names.fence(key),
        ...waitLists,
        names.due(""),
        names.queues,
        names.guard,
      ],
    }),
  ] as Request<unknown, unknown>[];
}

function rehearsedServing(names: Names, key: string, process: string): Serving {
  const reservation = { token: 2, give: "", record: "", wakes: false, life: PROBE_TTL };
  return { names, key, process, ...reservation, live: true, gone: [], skipped: [] };
}
