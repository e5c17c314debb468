import type { Job } from "bullmq";
import { setTimeout as pass } from "node:timers/promises";
import { expect, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { redisClient } from "../support/redis.ts";
import { useBench } from "./support.ts";

const bench = useBench();
const WAITERS = 2_000;
/** Long enough for all to be parked before the first comes back by itself: that is after ten ttls. */
const TTL = 30_000;
/** Milliseconds in which nothing happens. */
const QUIET = 4_000;

/** The commands that a client sends; scripts make all others in the statistics of a server. */
const REQUESTS =
  /^cmdstat_(evalsha|eval|fcall|ping|bzpopmin|blpop|subscribe|unsubscribe|script\S*)$/;

/** Requests that the server has got so far. */
async function requestsTo(url: string): Promise<number> {
  const lines = (await redisClient(url).info("commandstats")).split("\r\n");
  const calls = lines.map((line) => {
    const [name = "", stats = ""] = line.split(":", 2);
    return REQUESTS.test(name) ? Number(/^calls=(\d+)/.exec(stats)?.[1]) : 0;
  });
  return calls.reduce((sum, count) => sum + count, 0);
}

/** How many requests a second each server gets while nothing happens. */
async function requestsPerSecond(urls: readonly string[]): Promise<number[]> {
  const before = await Promise.all(urls.map(requestsTo));
  const startedAt = performance.now();
  await pass(QUIET);
  const after = await Promise.all(urls.map(requestsTo));
  const seconds = (performance.now() - startedAt) / 1_000;
  return after.map((count, index) => (count - before[index]!) / seconds);
}

test(`${WAITERS} jobs that wait for a key cost nearly nothing while nothing happens`, async () => {
  const holder = bench.redlock({ ttl: TTL });
  const lock = await holder.acquire("account:hot");
  const redlock = bench.redlock({ ttl: TTL });
  const parked = new Set<string>();
  redlock.on("parked", ({ job }) => parked.add(job));
  let runs = 0;
  bench.worker(
    withLock({ redlock, key: "account:{{data.account}}" }, async (_job: Job<{ account: string }>) =>
      Promise.resolve((runs += 1)),
    ),
    { concurrency: 200 },
  );
  await bench
    .queue()
    .addBulk(Array.from({ length: WAITERS }, () => ({ name: "charge", data: { account: "hot" } })));
  await expect.poll(() => parked.size, { timeout: 120_000 }).toBe(WAITERS);
  expect((await holder.inspect("account:hot")).waiting).toBe(WAITERS);

  const [queue = 0, ...masters] = await requestsPerSecond([bench.queueUrl, ...bench.masterUrls]);

  expect(Math.max(...masters)).toBeLessThan(10);
  expect(queue).toBeLessThan(10);

  await lock.release();
  await expect.poll(() => runs, { timeout: 60_000 }).toBeGreaterThan(100);
}, 250_000);
