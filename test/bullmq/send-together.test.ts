import type { Socket } from "node:net";
import { Queue } from "bullmq";
import { Queue as Queue5 } from "bullmq5";
import { expect, onTestFinished, test, vi } from "vitest";
import { type JobWorker, sendTogether } from "../../src/bullmq/bullmq-job.ts";
import { useBench } from "./support.ts";

const bench = useBench(0);

test.each([
  ["6", Queue],
  ["5", Queue5 as unknown as typeof Queue],
])(
  "what one step writes to the queue's Redis is one write, in BullMQ %s",
  async (_, QueueClass) => {
    const queue = new QueueClass("together", { connection: { url: bench.queueUrl } });
    onTestFinished(async () => await queue.close());
    const job = await queue.add("j", {});
    await job.log("first: the script is known now");
    const worker = queue as unknown as JobWorker;
    const client = (await (worker.backend ?? worker).client) as unknown as { stream: Socket };
    const writes = vi.spyOn(client.stream, "_writev");
    sendTogether(worker);
    await job.log("second");
    sendTogether(worker);
    await Promise.all([job.log("third"), job.log("fourth")]);
    expect(writes.mock.calls.map(([chunks]) => chunks.length)).toEqual([2]);
    expect((await queue.getJobLogs(job.id!)).logs).toHaveLength(4);
    // Nothing is kept back afterwards.
    expect(client.stream.writableCorked).toBe(0);
  },
);

test("a connection that cannot be made is left to the request that follows", async () => {
  const client = Promise.reject(new Error("Connection is closed."));
  expect(() => sendTogether({ client })).not.toThrow();
  await expect(client).rejects.toThrow("closed");
});
