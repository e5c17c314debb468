import type { Job } from "bullmq";
import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { describeAsHolder } from "../../src/bullmq/holder.ts";
import { readHoldingJob } from "../../src/bullmq/read-holder.ts";

function job(id: string, queueName = "invoices"): Job {
  return { id, queueName, attemptsMade: 1, timestamp: 5 } as Job;
}

describe("what a job stores as the holder of a key", () => {
  it.each(["17", "a attempt 3 (x pid 1) #y", "Zürich 🙂", " "])("is read again: job %j", (id) => {
    expect(readHoldingJob(describeAsHolder(job(id)))).toEqual({
      job: `invoices:${id}`,
      attempt: 2,
      host: hostname(),
      pid: process.pid,
    });
  });

  it.each([undefined, "", "vm pid 5", "nightly report", "a attempt x (h pid 1) #m"])(
    "is not %j",
    (text) => {
      expect(readHoldingJob(text)).toBeUndefined();
    },
  );
});
