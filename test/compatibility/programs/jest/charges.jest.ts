// A test as users write it, under Jest with its default configuration (compiled to CommonJS before) and under ts-jest.
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type Job, Queue, QueueEvents, Worker } from "bullmq";
import { LockConflictError, LockUnavailableError, Redlock, withLock } from "bullmq-redlock";
import { defineLocks } from "bullmq-redlock/config";
import { type RedisNodes, startRedisNodes } from "bullmq-redlock/testing";
import { LockedWorker } from "bullmq-redlock/worker";

interface Charge {
  accountId: string;
}

let masters: RedisNodes;
let queues: RedisNodes;
let redlock: Redlock;

beforeAll(async () => {
  [masters, queues] = await Promise.all([startRedisNodes(3), startRedisNodes(1)]);
  redlock = new Redlock({ ...masters.redlockOptions, nodeTimeout: 3_000 });
}, 60_000);

afterAll(async () => {
  await redlock.close();
  await Promise.all([masters.stop(), queues.stop()]);
});

test("runs the jobs of one account one at a time", async () => {
  const connection = { host: "127.0.0.1", port: queues.ports[0]! };
  const queue = new Queue<Charge>("charges", { connection });
  const events = new QueueEvents("charges", { connection });
  await events.waitUntilReady();
  let running = 0;
  let most = 0;
  const worker = new Worker<Charge>(
    "charges",
    withLock(
      { redlock, key: "account:{{data.accountId}}" },
      async (_job: Job<Charge>, _token, _signal, lock) => {
        running += 1;
        most = Math.max(most, running);
        await new Promise(setImmediate);
        running -= 1;
        return lock.fencingToken;
      },
    ),
    { connection, concurrency: 4 },
  );
  const jobs = await queue.addBulk(
    Array.from({ length: 6 }, () => ({ name: "charge", data: { accountId: "42" } })),
  );
  const tokens = await Promise.all(
    jobs.map(async (job) => (await job.waitUntilFinished(events)) as number),
  );
  expect(most).toBe(1);
  expect(new Set(tokens).size).toBe(6);
  await worker.close();
  await Promise.all([queue.close(), events.close()]);
}, 60_000);

test("throws errors that are of the classes it exports", async () => {
  const lock = await redlock.acquire("report");
  await expect(redlock.acquire("report")).rejects.toThrow(LockConflictError);
  expect(await lock.release()).toBe("released");
  const nowhere = new Redlock({ nodes: ["redis://127.0.0.1:1"], nodeTimeout: 100 });
  nowhere.on("warning", () => undefined);
  const refused = nowhere.acquire("report");
  await expect(refused).rejects.toThrow(LockUnavailableError);
  // An error of Node's own is of another realm than the test: its text must come through all the same.
  await expect(refused).rejects.toThrow("ECONNREFUSED");
  await nowhere.close();
}, 60_000);

test("has the entries of the package", async () => {
  const locks = defineLocks({ nodes: masters.urls, rules: [{ key: "a" }] });
  expect(locks.explain({ queueName: "charges", name: "charge", data: {} })).toMatchObject({
    keys: ["a"],
  });
  await locks.close();
  expect(() => new LockedWorker("charges", "/charge.js", {} as never)).toThrow("lock");
});
