/**
 * A majority of the lock masters freezes while a job runs. The job's signal aborts before the lock can end. The job is delayed
 * without using an attempt, and runs again when the masters are back.
 *
 * Run it: `npx tsx examples/03-lock-lost.ts`
 */
import { Queue, QueueEvents, Worker, type Job } from "bullmq";
import { LockLostError, Redlock, withLock } from "bullmq-redlock";
import { startRedisNodes } from "bullmq-redlock/testing";

await using queueRedis = await startRedisNodes(1);
await using lockMasters = await startRedisNodes(3);
const connection = { url: queueRedis.urls[0]! };

const redlock = new Redlock({ ...lockMasters.redlockOptions, ttl: 1_000 });
let runs = 0;

const worker = new Worker<{ report: string }>(
  "reports",
  withLock(
    { redlock, key: "report:{{data.report}}" },
    async (job: Job<{ report: string }>, _jobToken, signal) => {
      runs += 1;
      console.log(`run ${runs} of job ${job.id}`);
      if (runs > 1) return;
      // Two of three masters hang, so no quorum can extend the lock.
      lockMasters.pause(0);
      lockMasters.pause(1);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      const reason: unknown = signal.reason;
      if (reason instanceof LockLostError) console.log(`${reason.code}: ${reason.message}`);
      // Stop here and undo unfinished work. The key is released only when this function has settled.
      lockMasters.resume(0);
      lockMasters.resume(1);
    },
  ),
  { connection },
);

const queue = new Queue("reports", { connection });
const events = new QueueEvents("reports", { connection });
const job = await queue.add("monthly", { report: "2026-11" });
await job.waitUntilFinished(events);
const finished = await queue.getJob(job.id!);
console.log(
  `completed after ${runs} runs, failed attempts: ${finished?.attemptsMade === 1 ? 0 : 1}`,
);

await worker.close();
await Promise.all([queue.close(), events.close()]);
await redlock.close();
