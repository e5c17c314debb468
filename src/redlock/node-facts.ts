import type { Clock } from "../clock.ts";
import { acquireOperation, extendOperation, releaseOperation } from "../lock/operations.ts";
import { armOperation } from "../lock/arming.ts";
import { LINE_PRELUDE } from "../lock/line-script.ts";
import { joinOperation, type Serving, serveOperation } from "../lock/lining.ts";
import { readOperation } from "../lock/looking.ts";
import { type Names, namesUnder, PRELUDE } from "../lock/stored.ts";
import { onAbort } from "../on-abort.ts";
import type { Random } from "../random.ts";
import {
  type Call,
  callOf,
  composeProgram,
  encodeCalls,
  FAILED,
  type Operation,
} from "../redis/operation.ts";
import { type Probe, ProbeError } from "../redis/probe.ts";
import { Script } from "../redis/script.ts";
import { parseServerInfo, type ServerInfo, unfitness } from "../redis/server-info.ts";

/** Something that the server does not let us do. */
interface Refusal {
  /** The command, or the operation of the script. */
  readonly what: string;
  /** In the server's words. */
  readonly cause: string;
}

/** A server's clock, as seen from here. Milliseconds. */
export interface ClockFacts {
  /** Median of a few round trips. */
  readonly roundTrip: number;
  /** By how much the server's clock is ahead of ours. */
  readonly offset: number;
  /** By how much `offset` may be wrong. */
  readonly uncertainty: number;
  /** `undefined` when it was not observed for long enough. */
  frozen: boolean | undefined;
}

/** What was learned about one master. */
export interface NodeFacts {
  readonly node: string;
  /** Why there are no more facts; `undefined` when all are there. */
  failure: string | undefined;
  info: ServerInfo | undefined;
  readonly refusals: Refusal[];
  /** Why there will be no messages. */
  pubsubRefusal: string | undefined;
  /** `undefined` when the server does not say. */
  appendfsync: string | undefined;
  clock: ClockFacts | undefined;
}

/** How to examine a master. */
export interface Examination {
  readonly probe: Probe;
  readonly clock: Clock;
  readonly random: Random;
  readonly keyPrefix: string;
  /** Whether votes look at the guard. */
  readonly guarded: boolean;
  /** Ends pauses; the probe is closed then. */
  readonly ended: AbortSignal;
}

/** How long a clock is observed before it is said to move. Some servers' clock stands still for the length of a command. */
const CLOCK_OBSERVATION = 1_000;
const CLOCK_SAMPLES = 5;
/** Milliseconds: long enough for a slow server, short enough to be gone soon if we vanish. */
const PROBE_TTL = 2_000;

/** Facts before there are any. */
export function noFacts(node: string, failure: string): NodeFacts {
  return {
    node,
    failure,
    info: undefined,
    refusals: [],
    pubsubRefusal: undefined,
    appendfsync: undefined,
    clock: undefined,
  };
}

/** Fills in the facts, as far as the master lets us. Never rejects. */
export async function examine(facts: NodeFacts, examination: Examination): Promise<void> {
  try {
    await gather(facts, examination);
    facts.failure = undefined;
  } catch (error) {
    facts.failure = error instanceof Error ? error.message : String(error);
  }
}

async function gather(facts: NodeFacts, examination: Examination): Promise<void> {
  const { probe } = examination;
  const info = await permitted(facts, "INFO", () => probe.ask((client) => client.info()));
  if (info === undefined) return;
  facts.info = parseServerInfo(info);
  // Whatever else such a server says is no news.
  if (unfitness(facts.info) !== undefined) return;
  await rehearse(facts, examination);
  await observeClock(facts, examination);
  if (facts.info.appendOnly === true) {
    facts.appendfsync = await optional(() => askAppendfsync(probe));
  }
  await tryMessages(facts, examination);
}

/** What the server answers, or `undefined` and an entry among the refusals. */
async function permitted<T>(
  facts: NodeFacts,
  what: string,
  act: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof ProbeError && error.refused)) throw error;
    // Who is not let in is not refused a command.
    if (/^(NOAUTH|WRONGPASS|LOADING|BUSY) /.test(error.message)) throw error;
    facts.refusals.push({ what, cause: error.message });
    return undefined;
  }
}

/** What the server answers, or `undefined` when it refuses. */
async function optional<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ProbeError && error.refused) return undefined;
    throw error;
  }
}

/** Deletes what a rehearsal has stored; where DEL is refused, lets it expire at once. */
const forgetOperation: Operation<{ readonly keys: readonly string[] }, void> = {
  name: "forget",
  lua: `
  for i = 1, #keys do
    local deleted = redis.pcall('DEL', keys[i])
    if type(deleted) == 'table' then redis.pcall('SET', keys[i], '', 'PX', 1) end
  end
  return { 'OK' }`,
  keys: ({ keys }) => keys,
  argv: () => [],
  parse: () => {},
};

/** All that locks do, and the cleaning up, in one script: nothing stays behind, whatever happens to us. */
const rehearsal = new Script(
  composeProgram(PRELUDE + LINE_PRELUDE, [
    armOperation,
    acquireOperation,
    extendOperation,
    readOperation,
    joinOperation,
    releaseOperation,
    serveOperation,
    forgetOperation,
  ]),
);

/** Executes every operation on names of its own. */
async function rehearse(
  facts: NodeFacts,
  { probe, random, keyPrefix, guarded }: Examination,
): Promise<void> {
  const owner = random.owner();
  const names = namesUnder(`${keyPrefix}@probe:${owner}:`);
  const calls = rehearsedCalls(names, owner, guarded);
  const argv = encodeCalls(calls, facts.info?.runId ?? "");
  if ((await permitted(facts, "EVAL", () => probe.ask(loadRehearsal))) === undefined) return;
  const replies = await permitted(facts, "EVALSHA", () =>
    probe.ask((client) => rehearsal.run(client, argv, () => true)),
  );
  if (replies === undefined) return;
  for (const [index, { operation }] of calls.entries()) {
    const reply: unknown = Array.isArray(replies) ? replies[index] : replies;
    if (!Array.isArray(reply)) {
      facts.refusals.push({ what: operation.name, cause: "an answer that is none of ours" });
    } else if (reply[0] === FAILED) {
      facts.refusals.push({ what: operation.name, cause: String(reply[1]) });
    }
  }
}

async function loadRehearsal(client: Parameters<Script["load"]>[0]): Promise<true> {
  await rehearsal.load(client);
  return true;
}

function rehearsedCalls(names: Names, owner: string, guarded: boolean): Call<unknown, unknown>[] {
  const key = "key";
  const holder = "ready() looks whether it may lock";
  const caller = { process: owner, home: "", place: "1", replaceable: true, joins: undefined };
  const claim = { names, keys: [key], owner, token: 1, holder, guarded, caller };
  const joining = { names, keys: [key], process: owner, living: true, replaces: true };
  const waiter = { detail: `lr1@${owner}`, priority: 0 };
  const arming = { names, quarantine: 0, longestTtl: PROBE_TTL, trust: true };
  const line = [names.turn(key), names.waiters(key), names.waiter(key)];
  return [
    ...(guarded ? [callOf(armOperation, arming)] : []),
    callOf(acquireOperation, { ...claim, ttl: PROBE_TTL / 2 }),
    callOf(extendOperation, { ...claim, ttl: PROBE_TTL }),
    callOf(readOperation, { names, key }),
    callOf(joinOperation, { ...joining, ...waiter, place: "1" }),
    callOf(joinOperation, { ...joining, ...waiter, place: "2" }),
    callOf(releaseOperation, { ...claim, held: true, linger: 0, skipped: [] }),
    callOf(serveOperation, rehearsedServing(names, key, owner)),
    callOf(forgetOperation, {
      keys: [names.lock(key), names.fence(key), ...line, names.guard],
    }),
  ] as Call<unknown, unknown>[];
}

function rehearsedServing(names: Names, key: string, process: string): Serving {
  const turn = { token: 2, give: "", detail: "", calls: false, life: PROBE_TTL };
  return { names, key, process, ...turn, living: true, gone: [], skipped: [] };
}

interface TimeSample {
  readonly sentAt: number;
  readonly receivedAt: number;
  /** Milliseconds since 1970 by the server's clock. */
  readonly server: number;
  /** The same by ours, in the middle of the round trip. */
  readonly ours: number;
}

async function observeClock(facts: NodeFacts, { probe, clock, ended }: Examination): Promise<void> {
  const samples: TimeSample[] = [];
  for (let i = 0; i < CLOCK_SAMPLES; i++) {
    const sample = await optional(() => askTime(probe, clock));
    if (sample === undefined) return;
    samples.push(sample);
  }
  const byRoundTrip = samples.toSorted((a, b) => roundTripOf(a) - roundTripOf(b));
  const [best] = byRoundTrip;
  const median = byRoundTrip[Math.floor(CLOCK_SAMPLES / 2)];
  const [first] = samples;
  if (first === undefined || best === undefined || median === undefined) return;
  const facing: ClockFacts = (facts.clock = {
    roundTrip: roundTripOf(median),
    offset: best.server - best.ours,
    // The wall clock has whole milliseconds.
    uncertainty: roundTripOf(best) / 2 + 1,
    frozen: undefined,
  });
  await pause(clock, CLOCK_OBSERVATION, ended);
  const last = await askTime(probe, clock);
  const passed = last.sentAt - first.receivedAt;
  facing.frozen = last.server - first.server < passed / 2;
}

async function askTime(probe: Probe, clock: Clock): Promise<TimeSample> {
  return await probe.ask(async (client) => {
    const sentAt = clock.now();
    const wall = clock.wall();
    const [seconds, microseconds] = await client.time();
    const receivedAt = clock.now();
    return {
      sentAt,
      receivedAt,
      server: Number(seconds) * 1_000 + Number(microseconds) / 1_000,
      ours: wall + (receivedAt - sentAt) / 2,
    };
  });
}

function roundTripOf({ sentAt, receivedAt }: TimeSample): number {
  return receivedAt - sentAt;
}

async function askAppendfsync(probe: Probe): Promise<string | undefined> {
  const reply: unknown = await probe.ask((client) => client.config("GET", "appendfsync"));
  return Array.isArray(reply) && reply.length === 2 ? String(reply[1]) : undefined;
}

/** Publishes and subscribes as waiters do; after it the connection is good for nothing else. */
async function tryMessages(facts: NodeFacts, { probe, keyPrefix }: Examination): Promise<void> {
  const channel = namesUnder(keyPrefix).called("@probe");
  try {
    await probe.ask((client) => client.publish(channel, "0"));
    await probe.ask((client) => client.subscribe(channel));
    await probe.ask((client) => client.unsubscribe(channel));
  } catch (error) {
    if (!(error instanceof ProbeError && error.refused)) throw error;
    facts.pubsubRefusal = error.message;
  }
}

/** Lets time pass, until a signal aborts. */
export function pause(clock: Clock, ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = clock.timer(ms, () => {
      forget();
      resolve();
    });
    const forget = onAbort(ended, () => {
      clock.clearTimer(timer);
      resolve();
    });
  });
}
