import { Queue, type Worker } from "bullmq";
import { expect, onTestFinished, test } from "vitest";
import { assertNoOverlap, type CriticalSection, MemoryNodes } from "../../../src/testing/index.ts";
import { LockedWorker } from "../../../src/worker.ts";
import { ends } from "../../bullmq/support.ts";
import { useRedisNodes } from "../../support/redis.ts";

const servers = useRedisNodes(1);

test("runs jobs of a real queue one at a time for each key, and wakes those that wait", async () => {
  await using masters = new MemoryNodes();
  const connection = { url: servers.urls[0]! };
  const queue = new Queue("charges", { connection });
  onTestFinished(async () => await queue.close());
  const history: (CriticalSection & { job: string })[] = [];
  const worker: Worker = new LockedWorker(
    "charges",
    async (job) => {
      const { account } = job.data as { account: string };
      const from = performance.now();
      await new Promise(setImmediate);
      history.push({ key: account, job: job.id!, from, to: performance.now() });
    },
    { lock: { redlock: masters.redlock(), key: "{{data.account}}" }, connection, concurrency: 4 },
  );
  onTestFinished(async () => await worker.close());
  const done = ends(worker, 8);
  const accounts = ["a", "b", "a", "a", "b", "a", "a", "b"];
  await queue.addBulk(accounts.map((account) => ({ name: "charge", data: { account } })));
  await done;
  expect(history).toHaveLength(8);
  assertNoOverlap(history);
  // Before its Redlock.
  await worker.close();
});
