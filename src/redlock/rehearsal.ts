import { armOperation } from "../lock/arming.ts";
import { dueOperation } from "../lock/due-keys.ts";
import { LINE_PRELUDE } from "../lock/line-script.ts";
import { joinOperation, type Serving, serveOperation } from "../lock/lining.ts";
import { readOperation, SCAN_START, scanOperation } from "../lock/looking.ts";
import { acquireOperation } from "../lock/acquiring.ts";
import { extendOperation } from "../lock/extending.ts";
import { releaseOperation } from "../lock/releasing.ts";
import { type Names, namesUnder, PRELUDE } from "../lock/stored.ts";
import type { Random } from "../random.ts";
import { Batch } from "../redis/batch.ts";
import { NodeError } from "../redis/node-error.ts";
import { Call, composeProgram, type Operation } from "../redis/operation.ts";
import type { Probe } from "../redis/probe.ts";
import { Script } from "../redis/script.ts";
import { permitted, type Refusal } from "./permission.ts";

/** How to rehearse. */
export interface Rehearsal {
  readonly random: Random;
  readonly keyPrefix: string;
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
const program = composeProgram(PRELUDE + LINE_PRELUDE, [
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
const rehearsal = new Script(program);

/** Executes every operation on names of its own, and tells what the server refuses. */
export async function rehearse(
  probe: Probe,
  { random, keyPrefix, guarded, runId }: Rehearsal,
): Promise<Refusal[]> {
  const owner = random.owner();
  const names = namesUnder(`${keyPrefix}@probe:${owner}:`);
  const calls = rehearsedCalls(names, owner, guarded);
  const batch = new Batch(calls);
  const refusals: Refusal[] = [];
  const refuse = (refusal: Refusal): void => void refusals.push(refusal);
  if ((await permitted("EVAL", () => probe.ask(loadRehearsal), refuse)) === undefined)
    return refusals;
  const run = (): Promise<unknown> =>
    probe.ask((client) => rehearsal.run(client, batch, runId, () => true));
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
  await rehearsal.load(client);
  return true;
}

function rehearsedCalls(names: Names, owner: string, guarded: boolean): Call<unknown, unknown>[] {
  const key = "key";
  const holder = "ready() looks whether it may lock";
  const caller = {
    process: owner,
    home: "",
    place: "1",
    run: 1,
    replaceable: true,
    joins: undefined,
  };
  const claim = { names, keys: [key], owner, token: 1, holder, guarded, caller };
  const joins = { priority: 0, detail: `a1@${owner}`, replaces: false };
  const refused = {
    ...claim,
    owner: `${owner}2`,
    token: 2,
    caller: { ...caller, place: "3", joins },
  };
  const newcomers = ["1", "2"].map((place) => ({
    place,
    detail: `lr1@${owner}`,
    priority: 0,
    replaces: true,
  }));
  const arming = { names, quarantine: 0, longestTtl: PROBE_TTL, patience: 0 };
  const line = [names.turn(key), names.waiters(key), names.waiter(key), names.newest(key)];
  return [
    ...(guarded ? [new Call(armOperation, arming)] : []),
    new Call(acquireOperation, { ...claim, ttl: PROBE_TTL / 2 }),
    new Call(extendOperation, { ...claim, ttl: PROBE_TTL }),
    new Call(readOperation, { names, key }),
    new Call(acquireOperation, { ...refused, ttl: PROBE_TTL / 2 }),
    new Call(scanOperation, { names, pattern: key, cursors: SCAN_START }),
    new Call(joinOperation, { names, keys: [key], process: owner, living: true, newcomers }),
    new Call(releaseOperation, { ...claim, held: true, linger: 0, skipped: [], done: "" }),
    new Call(serveOperation, rehearsedServing(names, key, owner)),
    new Call(dueOperation, { names, queues: [{ home: "", servedAgo: 0 }] }),
    new Call(readAllOperation, { keys: [names.lock(key)] }),
    new Call(forgetOperation, {
      keys: [names.lock(key), names.fence(key), ...line, names.due(""), names.queues, names.guard],
    }),
  ] as Call<unknown, unknown>[];
}

function rehearsedServing(names: Names, key: string, process: string): Serving {
  const turn = { token: 2, give: "", detail: "", calls: false, life: PROBE_TTL };
  return { names, key, process, ...turn, living: true, gone: [], skipped: [] };
}
