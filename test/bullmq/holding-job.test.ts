import { Job as RealJob, type Job } from "bullmq";
import { hostname } from "node:os";
import { describe, expect, it, onTestFinished, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { describeAsHolder, isSameJob } from "../../src/bullmq/holder.ts";
import { toHolder } from "../../src/redlock/holder.ts";
import { readHoldingJob } from "../../src/redlock/job-text.ts";
import { ends, Gate, next, useBench } from "./support.ts";

function job(id: string, prefix = "bull", timestamp = 5): Job {
  const queue = { qualifiedName: `${prefix}:invoices` };
  return { id, queueName: "invoices", queue, attemptsMade: 1, timestamp } as unknown as Job;
}

function holderOf(text: string) {
  return toHolder({ id: "owner", token: 7, text, kept: false });
}

const IDS = [
  "17",
  "a attempt 3 (x pid 1) #y",
  "Zürich 🙂",
  " ",
  "tenant:7:sync",
  ":",
  "a:b attempt 1",
];

describe("what a job stores as the holder of a key", () => {
  it.each(IDS)("is read again: job %j", (id) => {
    const text = describeAsHolder(job(id, "a:b"));
    expect(readHoldingJob(text)).toEqual({
      job: `a:b:invoices:${id}`,
      attempt: 2,
      host: hostname(),
      pid: process.pid,
    });
    expect(holderOf(text).job).toEqual({ queue: "invoices", id, attempt: 2 });
  });

  it.each([undefined, "", "vm pid 5", "nightly report", "a attempt x (h pid 1) #m"])(
    "is not %j",
    (text) => {
      expect(readHoldingJob(text)).toBeUndefined();
      expect(holderOf(text ?? "")).not.toHaveProperty("job");
    },
  );

  it.each(["x".repeat(200), "line\nbreak"])(
    "does not say which job it is when it is cut: %j",
    (id) => {
      const text = describeAsHolder(job(id));
      expect(readHoldingJob(text)).toMatchObject({ attempt: 2 });
      expect(holderOf(text)).not.toHaveProperty("job");
      expect(isSameJob(job(id), holderOf(text))).toBe(true);
    },
  );

  it("is read as far as it goes from a text without lengths", () => {
    const text = describeAsHolder(job("17")).replace(/#.*$/, "#000000000005");
    expect(readHoldingJob(text)).toMatchObject({ job: "bull:invoices:17" });
    expect(holderOf(text)).not.toHaveProperty("job");
    expect(holderOf(text).text).not.toContain("#");
  });

  it.each([-5, 1.5, 1e20, NaN])("names the job, and no mark, at a timestamp of %d", (timestamp) => {
    const odd = job("17", "bull", timestamp);
    const holder = holderOf(describeAsHolder(odd));
    expect(holder).toMatchObject({ text: expect.not.stringContaining("#"), job: { id: "17" } });
    expect(isSameJob(odd, holder)).toBe(true);
  });

  it("is taken for the same job again, and not for another of that name", () => {
    const holder = holderOf(describeAsHolder(job("tenant:7")));
    expect(isSameJob(job("tenant:7"), holder)).toBe(true);
    expect(isSameJob(job("tenant:7", "bull", 6), holder)).toBe(false);
  });
});

describe("the job that holds a key", () => {
  const bench = useBench();

  test("is named, exactly, by the error, the event and inspect", async () => {
    const redlock = bench.redlock();
    const queue = bench.queue();
    const started = new Gate();
    const finish = new Gate();
    onTestFinished(() => finish.open());
    const worker = bench.worker(
      withLock({ redlock, key: "account:a" }, async () => {
        started.open();
        await finish.opened;
      }),
    );
    const done = ends(worker, 1);
    await queue.add("charge", {}, { jobId: "eu-1" });
    await started.opened;
    const conflict = next(redlock, "conflict");

    const error: unknown = await redlock.acquire("account:a").catch((thrown: unknown) => thrown);

    const named = { queue: "invoices", id: "eu-1", attempt: 1 };
    expect(error).toMatchObject({ code: "ERR_REDLOCK_CONFLICT", holder: { job: named } });
    expect((await conflict).holder?.job).toEqual(named);
    const { holder, nodes } = await redlock.inspect("account:a");
    expect([holder, ...nodes.map((node) => node.holder)].map((each) => each?.job)).toEqual([
      named,
      named,
      named,
      named,
    ]);
    expect((await RealJob.fromId(queue, holder!.job!.id))?.name).toBe("charge");
    finish.open();
    await done;
  });
});
