/**
 * Shows whether the memory of a process stays flat: `npm run bench soak -- --minutes 60`. Locks are held and given back,
 * and jobs are parked and woken, always on keys that were never used before.
 */
import { parseArgs } from "node:util";
import { setTimeout as delay } from "node:timers/promises";
import { Queue } from "bullmq";
import { type Lock, LockUnavailableError, Redlock } from "../../dist/index.js";
import { startRedisNodes } from "../../dist/testing/index.js";
import { Shift } from "./jobs/shift.ts";
import type { JobData } from "./jobs/load.ts";
import { OURS } from "./contenders.ts";
import { processMemory, serverMemory } from "./process-memory.ts";
import { slope } from "./statistics.ts";

/** Samples of one soak. */
const SAMPLES = 60;
/** The part of the samples that is left out of the slopes: code is compiled and buffers grow in it. */
const WARM_UP = 0.2;
/** Locks held at the same time, and for how many ms each. */
const HOLDERS = 200;
const HOLD = 1_500;
/** Milliseconds between two extends of a held lock: each is extended several times. */
const HEARTBEAT = 400;
/** Jobs with the same key, added together: all but the first are parked. */
const JOBS_A_KEY = 4;
const JOB_MS = 5;
const SLOTS = 20;
/** Milliseconds between two groups of jobs. */
const PAUSE = 50;
/** Jobs added and not done, at most. */
const BACKLOG = 200;
const MB = 2 ** 20;

const { values } = parseArgs({ options: { minutes: { type: "string", default: "60" } } });
const minutes = Number(values.minutes);
if (!(minutes > 0 && minutes <= 24 * 60)) {
  throw new Error(`--minutes: found "${values.minutes}", expected a number up to 1440`);
}

await using nodes = await startRedisNodes(4);
const [queueUrl = "", ...masters] = nodes.urls;
const connection = { url: queueUrl };
const end = performance.now() + minutes * 60_000;
const going = (): boolean => performance.now() < end;

const queue = new Queue<JobData>("soak", { connection });
const shift = Shift.of(OURS, masters, { queues: ["soak"], connection, concurrency: SLOTS });
const redlock = new Redlock({ nodes: masters, restartGuard: "trust-new", heartbeat: HEARTBEAT });
const counts = { locks: 0, lost: 0, unavailable: 0, added: 0, done: 0, parked: 0 };

async function holdLocks(holder: number): Promise<void> {
  await delay((holder / HOLDERS) * HOLD);
  while (going()) {
    const lock = await tryToAcquire(`held-${holder}-${counts.locks}`);
    if (lock === undefined) continue;
    lock.signal.addEventListener("abort", () => (counts.lost += 1), { once: true });
    await delay(HOLD);
    await lock.release();
    counts.locks += 1;
  }
}

/** A machine that is busy with other things for too long is no end of the soak. */
async function tryToAcquire(key: string): Promise<Lock | undefined> {
  try {
    return await redlock.acquire(key);
  } catch (error) {
    if (!(error instanceof LockUnavailableError)) throw error;
    counts.unavailable += 1;
    await delay(HOLD);
    return undefined;
  }
}

async function addJobs(): Promise<void> {
  while (going()) {
    const group = Array.from({ length: JOBS_A_KEY }, (_, i) => ({
      name: "job",
      data: { index: counts.added + i, key: `group-${counts.added}`, ms: JOB_MS },
    }));
    await queue.addBulk(group);
    counts.added += group.length;
    await shift.until(() => counts.added - takeDone() <= BACKLOG);
    await delay(PAUSE);
  }
}

/** How many jobs are done; their records would be a leak of our own. */
function takeDone(): number {
  for (const { activations } of shift.records.splice(0)) {
    counts.done += 1;
    counts.parked += activations - 1;
  }
  return counts.done;
}

interface Sample {
  readonly minute: number;
  readonly heap: number;
  readonly rss: number;
  readonly master: number;
}

async function sampleAll(): Promise<Sample[]> {
  const samples: Sample[] = [];
  while (going()) {
    await delay((minutes * 60_000) / SAMPLES);
    const heap = await processMemory();
    const sample = {
      minute: minutes - (end - performance.now()) / 60_000,
      heap,
      rss: process.memoryUsage.rss(),
      master: await serverMemory(masters[0] ?? ""),
    };
    samples.push(sample);
    console.log(
      `minute ${sample.minute.toFixed(1)}: heap ${write(heap)}, rss ${write(sample.rss)}, a master ${write(sample.master)}; ` +
        `${counts.locks} locks held and released, ${counts.lost} lost, ${counts.unavailable} unavailable, ${counts.done} jobs done, parked ${counts.parked} times`,
    );
  }
  return samples;
}

await shift.ready();
shift.start();
const [samples] = await Promise.all([
  sampleAll(),
  addJobs(),
  ...Array.from({ length: HOLDERS }, (_, holder) => holdLocks(holder)),
]);
await shift.until(() => takeDone() === counts.added);
await shift.stop();
await redlock.close();
await queue.close();

const counted = samples.slice(Math.floor(samples.length * WARM_UP));
const times = counted.map(({ minute }) => minute);
const operations = (counts.locks + counts.done) / minutes;
for (const of of ["heap", "rss", "master"] as const) {
  const perMinute = slope(
    times,
    counted.map((sample) => sample[of]),
  );
  console.log(
    `slope of ${of}: ${(perMinute / 1_024).toFixed(1)} KB a minute, ${(perMinute / operations).toFixed(1)} bytes a lock or job`,
  );
}
console.log("A master remembers the fence of each key for an hour: it grows until then.");

function write(bytes: number): string {
  return `${(bytes / MB).toFixed(1)} MB`;
}
