import { Worker } from "bullmq";
import { Worker as WorkerOf5 } from "bullmq5";
import { expect, onTestFinished, test } from "vitest";
import { moveToDelayed } from "../../src/bullmq/bullmq-job.ts";
import { redisClient } from "../support/redis.ts";
import { useBench } from "./support.ts";

const bench = useBench(0);

test.each([
  ["6", Worker, undefined],
  ["6, with a field", Worker, { "redlock:waiting": "{}" }],
  ["5", WorkerOf5 as unknown as typeof Worker, undefined],
])("a job is delayed by the given time, not by this clock: BullMQ %s", async (_, Class, fields) => {
  const queue = bench.queue();
  const worker = new Class("invoices", null, { connection: { url: bench.queueUrl } });
  onTestFinished(async () => await worker.close());
  const { id = "" } = await queue.add("charge", {});
  const job = await worker.getNextJob("token");
  if (job === undefined) throw new Error("expected a job");
  const now = Date.now() - 3_600_000;

  await moveToDelayed(job, "token", { now, delay: 25, fields });

  const score = await redisClient(bench.queueUrl).zscore("bull:invoices:delayed", id);
  expect(Math.floor(Number(score) / 0x1000)).toBe(now + 25);
  expect(await queue.getJobState(id)).toBe("delayed");
});
