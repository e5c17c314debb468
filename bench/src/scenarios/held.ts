import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { openWarm } from "../clients.ts";
import { HEARTBEAT, type Hold, type LockClient } from "../contender.ts";
import { CONTENDERS } from "../contenders.ts";
import { CountedMasters } from "../counted-masters.ts";
import { ownCpu, serverCpu } from "../cpu.ts";
import type { Scenario } from "../scenario.ts";

/** Locks held at the same time. */
const LOCKS = 2_000;
/** Milliseconds of one run. */
const DURATION = 12_000;
/** Milliseconds of the run in which requests are counted: two heartbeats of each lock. */
const COUNTED = 2 * HEARTBEAT;
/** Resolution of the event-loop delay in ms; it is taken off the figure. */
const RESOLUTION = 10;

/** Many locks at rest, kept alive. */
export const held: Scenario = {
  name: "held",
  title: `${LOCKS.toLocaleString("en")} held locks, 5 nodes`,
  text:
    `${LOCKS.toLocaleString("en")} locks, acquired evenly over ${HEARTBEAT / 1_000} s, are held for ${DURATION / 1_000} s and ` +
    `extended every ${HEARTBEAT / 1_000} s each. A lock is lost when its library says so, or when its key is gone from a ` +
    "majority of the masters at the end. Requests are counted by a proxy, in a run of their own.",
  nodes: 5,
  rounds: 3,
  contenders: Object.keys(CONTENDERS),
  columns: [
    { figure: "cpu", title: "client CPU, ms/s", digits: 1, ratio: true },
    { figure: "serverCpu", title: "CPU of all masters, ms/s", digits: 1, ratio: true },
    { figure: "requests", title: "requests/s at all masters", digits: 0, ratio: true },
    { figure: "delay", title: "loop delay p99, ms", digits: 2, ratio: true },
    { figure: "lost", title: "locks lost", digits: 0 },
  ],
  goals: [
    { text: "2,000 held locks, 5 nodes: client CPU", figure: "cpu", ratio: true, most: 0.25 },
    { text: "2,000 held locks: locks lost", figure: "lost", most: 0 },
    { text: "2,000 held locks: loop delay p99", figure: "delay", ratio: true, most: 1 },
  ],
  async prepare(contender, urls) {
    const client = await openWarm(contender, urls);
    let requests: number | undefined;
    return {
      async run() {
        requests ??= await countRequests(contender, urls);
        const holds = await acquireAll(client);
        const loop = monitorEventLoopDelay({ resolution: RESOLUTION });
        const masters = await serverCpu(urls);
        loop.enable();
        const cpu = ownCpu();
        await delay(DURATION);
        const used = ownCpu() - cpu;
        loop.disable();
        const serversUsed = (await serverCpu(urls)) - masters;
        const lost = await countLost(client, holds, urls);
        await releaseAll(holds);
        return {
          cpu: used / (DURATION / 1_000),
          serverCpu: serversUsed / (DURATION / 1_000),
          delay: Math.max(0, loop.percentile(99) / 1e6 - RESOLUTION),
          requests,
          lost,
        };
      },
      close: () => client.close(),
    };
  },
};

async function countRequests(contender: string, urls: readonly string[]): Promise<number> {
  using masters = await CountedMasters.start(urls);
  const client = await openWarm(contender, masters.urls);
  const holds = await acquireAll(client);
  const before = await masters.requests();
  await delay(COUNTED);
  const counted = (await masters.requests()) - before;
  await releaseAll(holds);
  await client.close();
  return counted / (COUNTED / 1_000);
}

async function acquireAll(client: LockClient): Promise<Hold[]> {
  const startedAt = performance.now();
  const acquisitions = Array.from({ length: LOCKS }, async (_, lock) => {
    await delay((lock / LOCKS) * HEARTBEAT);
    return await client.hold(keyOf(lock));
  });
  const holds = await Promise.all(acquisitions);
  // All the same head start before the measurement, however long the acquisitions took.
  await delay(Math.max(0, 2 * HEARTBEAT - (performance.now() - startedAt)));
  return holds;
}

async function releaseAll(holds: readonly Hold[]): Promise<void> {
  await Promise.all(holds.map((hold) => hold.release().catch(() => {})));
}

async function countLost(
  client: LockClient,
  holds: readonly Hold[],
  urls: readonly string[],
): Promise<number> {
  const names = holds.map((_, lock) => client.storedName(keyOf(lock)));
  const missing = names.map(() => 0);
  for (const url of urls) {
    const master = new Redis(url);
    const values = await master.mget(names);
    for (const [lock, value] of values.entries()) missing[lock]! += value === null ? 1 : 0;
    master.disconnect();
  }
  return holds.filter((hold, lock) => hold.lost || (missing[lock] ?? 0) > (urls.length - 1) / 2)
    .length;
}

function keyOf(lock: number): string {
  return `held:${lock}`;
}
