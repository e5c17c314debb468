// A worker process. It ends with the demo, however the demo ends.
import { type Lock, Redlock, withLock } from "bullmq-redlock";
import { loadLocks } from "bullmq-redlock/config";
import { type Job, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Bank } from "./bank.ts";
import {
  CONCURRENCY,
  type Deposit,
  LOCKED,
  type Manner,
  type News,
  type Orders,
  UNLOCKED,
} from "./messages.ts";

process.on("disconnect", () => process.exit());
if (!process.connected) process.exit();
// Ctrl-C signals every process of the terminal; the demo ends this one.
process.on("SIGINT", () => undefined);

const { queue, masters, lock, lockedQueue, jobs } = JSON.parse(process.argv[2] ?? "") as Orders;
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
const ofMasters = { nodes: masters, restartGuard: "trust-new" } as const;
const carefulBank = new Bank(redis, LOCKED);
const { redlock, processor } = await locked();
const careful = new Worker(lockedQueue, processor, settings);

redlock.on("parked", ({ job }) => {
  tell({ kind: "put aside", job: job.slice(job.lastIndexOf(":") + 1), at: Date.now() });
});
redlock.on("node:down", ({ node }) => tell({ kind: "master down", master: node }));
redlock.on("warning", ({ message }) => tell({ kind: "trouble", message }));
redis.on("error", ({ message }: Error) => tell({ kind: "trouble", message }));
for (const worker of [careless, careful]) {
  worker.on("completed", (job: Job, result: unknown) => {
    const at = job.processedOn ?? Date.now();
    tell({ kind: "completed", at, manner: mannerOf(result), ...runOf(job) });
  });
  worker.on("failed", (job: Job | undefined, error) => {
    // A job with attempts left has not ended.
    if (job?.finishedOn === undefined) return;
    const code = "code" in error ? String(error.code) : undefined;
    tell({ kind: "failed", reason: error.message, code, ...runOf(job) });
  });
  worker.on("error", ({ message }) => tell({ kind: "trouble", message }));
}
process.once("message", () => void close());

await Promise.all([careless.waitUntilReady(), careful.waitUntilReady()]);
tell({ kind: "ready" });

/** The processor under the lock of a template or of a rules file. */
async function locked() {
  if ("rules" in lock) {
    const { redlock, wrap, reload } = await loadLocks(lock.rules, { redlock: ofMasters });
    // `kill -HUP` reads the rules again, for jobs that start afterwards.
    process.on("SIGHUP", () => {
      reload().then(
        ({ rules, added }) => tell({ kind: "reloaded", rules, added: added.length }),
        ({ message }: Error) => tell({ kind: "trouble", message }),
      );
    });
    return { redlock, processor: wrap(work) };
  }
  const redlock = new Redlock(ofMasters);
  return { redlock, processor: withLock({ redlock, ...lock }, work) };
}

async function work(job: Job, _jobToken: string, _signal: AbortSignal, { keys, slots }: Lock) {
  // Of a key with a limit, each slot is an account of its own.
  const accounts = keys.map((key, i) => (slots[i] === 0 ? key : `${key}, slot ${slots[i]}`));
  // The demo's own jobs take the account from their data, so that the bank's count does not depend on the lock.
  await carefulBank.deposit(jobs === "deposits" ? [String(job.data.account)] : accounts);
  return { unlocked: keys.length === 0 };
}

function mannerOf(result: unknown): Manner {
  if (typeof result !== "object" || result === null) return "ran";
  if ("skipped" in result) return "skipped";
  return "unlocked" in result && result.unlocked === true ? "unlocked" : "ran";
}

function runOf({ id = "", attemptsStarted, attemptsMade }: Job) {
  return { job: id, activations: attemptsStarted, attempts: attemptsMade };
}

function tell(news: News): void {
  // If the demo is gone, the message has no receiver, and "disconnect" ends this process.
  process.send?.(news, undefined, undefined, () => undefined);
}

async function close(): Promise<void> {
  await Promise.all([careless.close(), careful.close()]);
  await redlock.close();
  await redis.quit();
  process.disconnect();
}
