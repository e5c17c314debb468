import { Worker, type Job } from "bullmq";
import { Redis } from "ioredis";
import { setTimeout as work } from "node:timers/promises";
import { Redlock, withLock } from "../../../src/index.ts";
import type { Step, WorkerTask } from "../worker-process.ts";

/** A worker in a process of its own, which writes down which jobs of an entity it runs, and when each has succeeded. */
const task = JSON.parse(process.argv[2]!) as WorkerTask;
const { queueUrl, masterUrls, concurrency, policies, stalls } = task;
const journal = new Redis(queueUrl);
const redlock = new Redlock({ nodes: masterUrls, restartGuard: "trust-new", ttl: 5_000 });
redlock.on("warning", () => {});

const processor = withLock(
  { redlock, key: "entity:{{data.entity}}", ...policies },
  async (job: Job<Step>): Promise<unknown> => {
    const { entity, index, ms, failures = 0 } = job.data;
    await journal.rpush(`started:${entity}`, index);
    await work(ms);
    if (job.attemptsMade < failures) throw new Error("fails");
    await journal.rpush(`succeeded:${entity}`, index);
    return index;
  },
);

const connection = { url: queueUrl };
const worker = new Worker("steps", processor, { connection, concurrency, ...stalls });
worker.on("error", () => {});
await worker.waitUntilReady();
process.send?.({ ready: true });

process.once("message", () => void end());

async function end(): Promise<void> {
  await worker.close();
  await redlock.close();
  journal.disconnect();
  process.disconnect();
}
