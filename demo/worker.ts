// One of the worker processes. It ends with the demo, however that ends.
import { Redlock, withLock } from "bullmq-redlock";
import { type Job, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Bank } from "./bank.ts";
import { CONCURRENCY, type Deposit, LOCKED, type News, type Orders, UNLOCKED } from "./messages.ts";

process.on("disconnect", () => process.exit());
if (!process.connected) process.exit();
// A Ctrl-C goes to every process of the terminal; the demo ends us.
process.on("SIGINT", () => undefined);

const { queue, masters, key, jobs } = JSON.parse(process.argv[2] ?? "") as Orders;
const settings = { connection: { url: queue }, concurrency: CONCURRENCY };
const redis = new Redis(queue);

// Without a lock.
const carelessBank = new Bank(redis, UNLOCKED);
const careless = new Worker<Deposit>(
  UNLOCKED,
  async (job) => await carelessBank.deposit([String(job.data.account)]),
  settings,
);

// With a lock.
const redlock = new Redlock({ nodes: [...masters], restartGuard: "trust-new" });
const carefulBank = new Bank(redis, LOCKED);
const careful = new Worker(
  LOCKED,
  withLock({ redlock, key }, async (job, _jobToken, _signal, lock) => {
    // Our own jobs do not ask the lock for the account, so that the bank's count stands on its own.
    const accounts = jobs === "deposits" ? [String(job.data.account)] : lock.keys;
    await carefulBank.deposit(accounts);
  }),
  settings,
);

redlock.on("parked", ({ job }) => {
  tell({ kind: "put aside", job: job.slice(job.lastIndexOf(":") + 1), at: Date.now() });
});
redlock.on("node:down", ({ node }) => tell({ kind: "master down", master: node }));
redlock.on("warning", ({ message }) => tell({ kind: "trouble", message }));
redis.on("error", ({ message }: Error) => tell({ kind: "trouble", message }));
for (const worker of [careless, careful]) {
  worker.on("completed", (job: Job) => {
    tell({ kind: "completed", at: job.processedOn ?? Date.now(), ...runOf(job) });
  });
  worker.on("failed", (job: Job | undefined, error) => {
    // One that has attempts left is not at its end.
    if (job?.finishedOn === undefined) return;
    const code = "code" in error ? String(error.code) : undefined;
    tell({ kind: "failed", reason: error.message, code, ...runOf(job) });
  });
  worker.on("error", ({ message }) => tell({ kind: "trouble", message }));
}
process.once("message", () => void close());

await Promise.all([careless.waitUntilReady(), careful.waitUntilReady()]);
tell({ kind: "ready" });

function runOf({ id = "", attemptsStarted, attemptsMade }: Job) {
  return { job: id, activations: attemptsStarted, attempts: attemptsMade };
}

function tell(news: News): void {
  // When the demo is gone, there is nobody to tell, and "disconnect" ends us.
  process.send?.(news, undefined, undefined, () => undefined);
}

async function close(): Promise<void> {
  await Promise.all([careless.close(), careful.close()]);
  await redlock.close();
  await redis.quit();
  process.disconnect();
}
