/**
 * Twenty jobs work on four accounts, with ten worker slots. The jobs of one account run one at a time, in any worker, and the
 * other accounts do not wait for them.
 *
 * Run it: `npx tsx examples/01-quick-start.ts`
 */
import { Queue, Worker, type Job } from "bullmq";
import { Redlock, withLock } from "bullmq-redlock";
import { startRedisNodes } from "bullmq-redlock/testing";

// Real servers, for this example only. In production: your queue's Redis, and three Redis masters of their own.
await using queueRedis = await startRedisNodes(1);
await using lockMasters = await startRedisNodes(3);
const connection = { url: queueRedis.urls[0]! };

interface Charge {
  accountId: number;
  cents: number;
}

const redlock = new Redlock(lockMasters.redlockOptions);
const balances = new Map<number, number>();

const worker = new Worker<Charge>(
  "charges",
  withLock(
    { redlock, key: "account:{{data.accountId}}" },
    async (job: Job<Charge>, _jobToken, signal, lock) => {
      const balance = balances.get(job.data.accountId) ?? 0;
      // Slow work between read and write. Without the lock, charges would be lost here.
      await new Promise((resolve) => setTimeout(resolve, 20));
      signal.throwIfAborted();
      balances.set(job.data.accountId, balance + job.data.cents);
      console.log(
        `account ${job.data.accountId}: job ${job.id}, fencing token ${lock.fencingToken}`,
      );
    },
  ),
  { connection, concurrency: 10 },
);

const jobs = Array.from({ length: 20 }, (_, i) => ({
  name: "charge",
  data: { accountId: i % 4, cents: 100 },
}));
const allCharged = new Promise<void>((resolve) => {
  let completed = 0;
  worker.on("completed", () => {
    completed += 1;
    if (completed === jobs.length) resolve();
  });
});
const queue = new Queue<Charge>("charges", { connection });
await queue.addBulk(jobs);
await allCharged;
console.log("balances:", Object.fromEntries(balances));

// Close the workers first, then the lock, then the servers, so that no job is lost.
await worker.close();
await queue.close();
await redlock.close();
