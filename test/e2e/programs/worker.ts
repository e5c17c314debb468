import { Worker, type Job } from "bullmq";
import { setTimeout as work } from "node:timers/promises";
import { Redlock, withLock } from "../../../src/index.ts";
import { slotName } from "../../../src/lock/slots.ts";
import { Resource } from "../resource.ts";
import type { Order, WorkerTask } from "../worker-process.ts";

/** A worker in a process of its own, which uses the resource for each job; it ends when it is told to, or killed. */
const task = JSON.parse(process.argv[2]!) as WorkerTask;
const resource = new Resource(task.resourceUrl);
const redlock = new Redlock({
  nodes: task.masterUrls,
  restartGuard: "trust-new",
  ttl: task.ttl,
});

redlock.on("parked", ({ job, reason }) => {
  process.send?.({ [reason === "conflict" ? "parked" : "delayed"]: job.split(":").at(-1) });
});
// The times that a test takes to wait for a killed worker are short.
redlock.on("warning", () => {});

async function use(job: Job<Order>, token: number, slot: number): Promise<void> {
  const { ms } = job.data;
  const entity = slotName(job.data.entity, slot);
  const user = `${process.pid}:${job.id}`;
  await resource.enter(entity, user, token);
  process.send?.({ started: job.id });
  await work(ms);
  await resource.leave(entity, user);
}

const { limit = 1 } = task;
const locked = withLock(
  { redlock, key: "entity:{{data.entity}}", limit },
  async (job: Job<Order>, _jobToken, _signal, lock) => {
    if (lock.slot >= limit) throw new Error(`slot ${lock.slot} is beyond the limit`);
    await use(job, lock.fencingToken, lock.slot);
  },
);

const worker = new Worker("orders", task.locked ? locked : async (job) => await use(job, 0, 0), {
  connection: { url: task.queueUrl },
  concurrency: 10,
  ...task.worker,
});
worker.on("error", (error) => process.send?.({ error: error.message }));
await worker.waitUntilReady();
process.send?.({ ready: true });

process.once("message", () => void end());

async function end(): Promise<void> {
  await worker.close();
  await redlock.close();
  resource.close();
  process.disconnect();
}
