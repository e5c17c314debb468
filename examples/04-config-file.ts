/**
 * The file `bullmq-redlock.yaml` beside the code defines what to lock. One processor serves several queues, and the rules apply to
 * each job.
 *
 * Run it: `npx tsx examples/04-config-file.ts`
 */
import { Queue, Worker } from "bullmq";
import { loadLocks } from "bullmq-redlock/config";
import { startRedisNodes } from "bullmq-redlock/testing";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

// Real servers, for this example only.
await using queueRedis = await startRedisNodes(1);
await using lockMasters = await startRedisNodes(3);
const connection = { url: queueRedis.urls[0]! };
const [LOCK_MASTER_1, LOCK_MASTER_2, LOCK_MASTER_3] = lockMasters.urls;

// Without arguments, it searches for the file itself and takes variables from the environment.
const locks = await loadLocks(fileURLToPath(new URL("bullmq-redlock.yaml", import.meta.url)), {
  environment: { LOCK_MASTER_1, LOCK_MASTER_2, LOCK_MASTER_3 },
  redlock: { restartGuard: "trust-new" }, // these masters have just started
});

// What happens to a job? `npx bullmq-redlock check-config --job job.json` prints the same.
for (const job of [
  { queueName: "invoices", name: "charge", data: { accountId: 7 } },
  { queueName: "invoices", name: "mail", data: {} },
  { queueName: "invoices", name: "charge", data: {} },
]) {
  const { outcome, keys, error } = locks.explain(job);
  console.log(job.queueName, job.name, "->", outcome, keys, error?.message ?? "");
}

// One processor for all queues. The rules decide whether it runs under a lock.
const balances = new Map<number, number>();
const processor = locks.wrap(async (job, _jobToken, _signal, lock) => {
  if (job.name !== "charge") return lock.keys;
  const balance = balances.get(job.data.accountId) ?? 0;
  await new Promise((resolve) => setTimeout(resolve, 20));
  balances.set(job.data.accountId, balance + 100);
  return lock.keys;
});
const invoices = new Queue("invoices", { connection });
const worker = new Worker("invoices", processor, { connection, concurrency: 10 });

// `kill -HUP PID` applies the changes in the file to jobs that start afterwards, without a restart.
process.on("SIGHUP", () => locks.reload().catch((error: unknown) => console.error(error)));

const jobs = [
  ...Array.from({ length: 10 }, (_, n) => ({ name: "charge", data: { accountId: n % 2 } })),
  { name: "mail", data: {} },
];
const allDone = new Promise<void>((resolve) => {
  let completed = 0;
  worker.on("completed", (job, keys) => {
    completed += 1;
    if (job.name === "mail") console.log("mail ran under", keys);
    if (completed === jobs.length) resolve();
  });
});
await invoices.addBulk(jobs);
await allDone;
console.log("balances:", Object.fromEntries(balances));

const reloaded = once(locks.redlock, "reloaded");
process.kill(process.pid, "SIGHUP");
const [{ rules, added }] = await reloaded;
console.log(`reloaded: ${rules} rules, ${added.length} new`);

await worker.close();
await invoices.close();
await locks.close();
