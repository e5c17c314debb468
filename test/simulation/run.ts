import {
  LockConflictError,
  LockLostError,
  LockUnavailableError,
  RedlockError,
} from "../../src/errors.ts";
import type { Random } from "../../src/random.ts";
import { type Redlock, RedlockOn } from "../../src/redlock/redlock.ts";
import { slotName } from "../../src/lock/slots.ts";
import { seededRandom } from "../support/simulated-redlock.ts";
import { Faults } from "./faults.ts";
import { Host } from "./host.ts";
import { Nemesis } from "./nemesis.ts";
import { Server, Wire } from "./network.ts";
import { Oracle, type Violation } from "./oracle.ts";
import { type Discipline, Resource } from "./resource.ts";
import type { Scenario } from "./scenarios.ts";
import { Timeline } from "./timeline.ts";
import { withoutTraces } from "./without-traces.ts";

/** What a run came to. */
export interface Report {
  seed: number;
  grants: number;
  conflicts: number;
  unavailable: number;
  lost: number;
  violations: Partial<Record<Violation, number>>;
  lostUpdates: Record<Discipline, number>;
  faults: Record<string, number>;
  examples: string[];
  /** When the violation came at which the run was to end, in ms. */
  haltedAt: number | undefined;
}

interface Client {
  host: Host;
  wires: Wire[];
  redlock: Redlock;
}

/** Runs the real client under a scenario, until a violation if one is named. The same seed is the same run. */
export async function simulateRun(
  scenario: Scenario,
  seed: number,
  until?: Violation,
): Promise<Report> {
  return await withoutTraces(async () => await runClients(scenario, seed, until));
}

async function runClients(
  scenario: Scenario,
  seed: number,
  until: Violation | undefined,
): Promise<Report> {
  const random = seededRandom(seed * 7_919 + 17);
  const timeline = new Timeline();
  const faults = new Faults(scenario.faults);
  const oracle = new Oracle(timeline, until);
  const resource = new Resource(timeline);
  const pickRate = (): number => 1 + (2 * random.fraction() - 1) * scenario.faults.drift;
  const servers = Array.from(
    { length: scenario.masters },
    (_, i) => new Server(`lock-${i + 1}`, timeline, pickRate()),
  );
  const world: World = { scenario, random, timeline, faults, oracle, resource, servers };
  const clients = Array.from({ length: scenario.clients }, (_, i) => connect(world, i));
  const nemesis = new Nemesis(
    timeline,
    random,
    {
      servers,
      victims: servers.slice(0, scenario.victims),
      clients,
      replace: (index) => {
        clients[index] = connect(world, index);
        void work(world, clients[index], () => timeline.now >= scenario.duration);
      },
    },
    faults,
    scenario.options.ttl ?? 1_000,
  );
  nemesis.start(scenario.faults);
  for (const client of clients) {
    void work(world, client, () => timeline.now >= scenario.duration);
  }
  await timeline.runUntil(scenario.duration);
  nemesis.stop();
  await afterwards(world);
  return {
    seed,
    grants: oracle.grants,
    conflicts: oracle.conflicts,
    unavailable: oracle.unavailable,
    lost: oracle.lost,
    violations: Object.fromEntries(oracle.violations),
    lostUpdates: { ...resource.lost },
    faults: Object.fromEntries(faults.counts),
    examples: oracle.examples,
    haltedAt: oracle.haltedAt,
  };
}

interface World {
  scenario: Scenario;
  random: Random;
  timeline: Timeline;
  faults: Faults;
  oracle: Oracle;
  resource: Resource;
  servers: Server[];
}

function connect(world: World, index: number): Client {
  const { scenario, random, timeline, faults, servers } = world;
  const { otherTtl } = scenario;
  const { drift, wallSpread } = scenario.faults;
  const host = new Host(timeline, {
    rate: 1 + (2 * random.fraction() - 1) * drift,
    wallOffset: (2 * random.fraction() - 1) * wallSpread,
  });
  const wires: Wire[] = [];
  const redlock = new RedlockOn(
    {
      ...scenario.options,
      ...(index % 2 === 1 && otherTtl !== undefined ? { ttl: otherTtl } : {}),
      nodes: servers.map((_, i) => `redis://lock-${i + 1}:6379`),
    },
    {
      clock: host,
      random,
      connect: ({ endpoint, nodeTimeout }) => {
        const index = scenario.sameServerTwice === true && wires.length === 1 ? 0 : wires.length;
        const wire = new Wire(endpoint.name, servers[index]!, host, {
          timeline,
          random,
          faults,
          nodeTimeout,
          hidden: scenario.hiddenServers === true,
          countsFromAnswer: scenario.countsFromAnswer === true,
        });
        wires.push(wire);
        return wire;
      },
    },
  ).on("warning", () => {});
  return { host, wires, redlock };
}

/** One process: takes keys, works under them, gives them back, until the end. */
async function work(world: World, client: Client, over: () => boolean): Promise<void> {
  const { random, scenario } = world;
  const slots = Array.from({ length: scenario.slots }, async () => {
    while (!over()) {
      const pause = random.fraction() < 0.5 ? 0 : 100 * random.fraction();
      await sleep(client.host, pause);
      await attempt(world, client);
    }
  });
  await Promise.all(slots);
}

async function attempt(world: World, { host, redlock }: Client): Promise<void> {
  const { random, scenario, oracle, timeline, resource } = world;
  const ttl = scenario.options.ttl ?? 1_000;
  const key = `key-${Math.floor(random.fraction() * scenario.keys)}`;
  const { waits = 0.5, limits = [1] } = scenario;
  const limit = limits[Math.floor(random.fraction() * limits.length)] ?? 1;
  const waitTimeout = random.fraction() < 1 - waits ? 0 : Math.floor(2 * ttl * random.fraction());
  const startedAt = timeline.now;
  const settle = watch(world, host, "acquire", waitTimeout);
  try {
    const lock = await redlock.acquire(key, { waitTimeout, limit });
    settle();
    const slot = slotName(key, lock.slot);
    if (lock.slot >= limit) oracle.report("beyond the limit", `${slot} of ${limit}`);
    const hold = oracle.granted(slot, lock, host);
    const onExtended = (event: { keys: readonly string[]; fencingToken: number }): void => {
      if (event.fencingToken === lock.fencingToken) oracle.extended(slot);
    };
    redlock.on("extended", onExtended);
    const busy = random.fraction() < scenario.longHolds ? 4 * ttl : ttl / 10;
    const read = resource.read(slot, lock.fencingToken);
    await Promise.race([sleep(host, busy * random.fraction()), aborted(lock.signal)]);
    // A job needs a moment to stop; it is done with its work only then.
    if (lock.signal.aborted) {
      if (scenario.releasesAtAbort === true) void lock.release();
      await sleep(host, scenario.windDown * random.fraction());
    } else if (lock.held) {
      // Between the check and the write a process may be paused.
      await sleep(host, scenario.think * random.fraction());
      const delay = scenario.writeDelay * random.fraction();
      resource.write(slot, lock.fencingToken, read, delay);
      await sleep(host, delay + 1);
    }
    redlock.off("extended", onExtended);
    if (lock.signal.aborted) oracle.lost += 1;
    oracle.finished(slot, hold);
    const settleRelease = watch(world, host, "release", 0);
    await lock.release();
    settleRelease();
  } catch (error) {
    settle();
    if (error instanceof LockConflictError) oracle.conflicts += 1;
    else if (error instanceof LockUnavailableError) oracle.unavailable += 1;
    else if (error instanceof LockLostError) oracle.lost += 1;
    else if (!(error instanceof RedlockError)) throw error;
    if (error instanceof LockUnavailableError && startedAt > 0) await sleep(host, 20);
  }
}

/** Reports a promise of the client that does not settle while its process runs. */
function watch(world: World, host: Host, what: string, waitTimeout: number): () => void {
  const { scenario, oracle } = world;
  const nodeTimeout = scenario.options.nodeTimeout ?? 50;
  // Eight splits, each of up to six rounds and a pause; at the end of a wait one more attempt of that kind.
  const bound = waitTimeout + 2 * 9 * 7 * nodeTimeout + 1_000;
  let open = true;
  host.timer(bound, () => {
    // A process that slept has only just woken up.
    host.timer(bound, () => {
      if (open) oracle.report("unsettled", what);
    });
  });
  return () => {
    open = false;
  };
}

/** With everything mended, every key must be free again in time, whatever was left behind. */
async function afterwards(world: World): Promise<void> {
  const { scenario, timeline, oracle } = world;
  const { ttl = 1_000, clockSkewBudget = 5_000, nodeTimeout = 50 } = scenario.options;
  const drained = timeline.now + 20 * ttl;
  await timeline.runUntil(drained);
  const fresh = connect(world, 0);
  let free = 0;
  const longest = Math.max(ttl, scenario.otherTtl ?? 0);
  const patience = 2 * longest + 1.5 * (longest + clockSkewBudget + nodeTimeout) + 2_000;
  for (let i = 0; i < scenario.keys; i++) {
    void (async () => {
      for (let done = false; !done && timeline.now < drained + patience;) {
        await sleep(fresh.host, 50);
        done = await areSlotsFree(fresh.redlock, `key-${i}`, Math.max(...(scenario.limits ?? [1])));
      }
      free += 1;
    })();
  }
  await timeline.runUntil(drained + patience);
  if (free < scenario.keys)
    oracle.report("stuck key", `${scenario.keys - free} of ${scenario.keys}`);
}

async function areSlotsFree(redlock: Redlock, key: string, limit: number): Promise<boolean> {
  const slots = Array.from({ length: limit }, () => redlock.acquire(key, { limit }));
  const settled = await Promise.allSettled(slots);
  for (const each of settled) if (each.status === "fulfilled") void each.value.release();
  return settled.every(({ status }) => status === "fulfilled");
}

function sleep(host: Host, ms: number): Promise<void> {
  return new Promise((resolve) => {
    host.timer(ms, resolve);
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
