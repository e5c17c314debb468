import type { Job } from "bullmq";
import { expect, onTestFinished, test, vi } from "vitest";
import { LockConflictError, Redlock, type RedlockEvents, withLock } from "../../src/index.ts";
import { ends, useBench } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const bench = useBench();
const KEY = "account:{{data.account}}";

test.each(["wait", "delay"] as const)(
  'a plain object is delayed for a time that the error names: "%s"',
  async (policy) => {
    const redlock = bench.redlock();
    await using _ = await bench.redlock().acquire("account:a");
    const parked: RedlockEvents["parked"][0][] = [];
    redlock.on("parked", (event) => parked.push(event));
    const run = withLock({ redlock, key: KEY, waitTimeout: 1, onConflict: () => policy }, () =>
      Promise.resolve("ran"),
    );
    const moveToDelayed = vi.fn(() => Promise.resolve());
    const job = {
      id: "17",
      name: "charge",
      queueName: "invoices",
      data: { account: "a" },
      moveToDelayed,
      log: () => Promise.resolve(1),
    };

    await expect(run(job as unknown as Job, "token")).rejects.toThrow(/^delayed for \d+ ms/);
    expect(parked).toEqual([expect.objectContaining({ delay: expect.any(Number) as number })]);
    expect(parked[0]!.delay).toBeGreaterThan(0);
    expect(moveToDelayed).toHaveBeenCalledWith(expect.toSatisfy(Number.isSafeInteger), "token");
  },
);

test("one without methods is delayed at once when the masters refuse the connection", async () => {
  const redlock = new Redlock({ nodes: ["redis://127.0.0.1:1"] });
  redlock.on("warning", () => {});
  onTestFinished(async () => await redlock.close());
  const run = withLock({ redlock, key: KEY }, () => Promise.resolve("ran"));
  const job = { id: "17", name: "charge", queueName: "invoices", data: { account: "a" } } as Job;

  await expect(run(job)).rejects.toThrow(/^delayed for \d+ ms: unavailable/);
}, 5_000);

test("people see a job that holds a key without the mark that distinguishes jobs", async () => {
  const redlock = bench.redlock();
  const queue = bench.queue();
  const conflicts: RedlockEvents["conflict"][0][] = [];
  redlock.on("conflict", (conflict) => conflicts.push(conflict));
  const met: unknown[] = [];
  const worker = bench.worker(
    withLock({ redlock, key: KEY, onConflict: "skip" }, async () => {
      met.push(await redlock.acquire("account:a").catch((error: unknown) => error));
      await queue.add("charge", { account: "a" });
      await waitFor(() => expect(conflicts).toHaveLength(2));
    }),
    { concurrency: 2 },
  );
  const done = ends(worker, 2);
  const { id } = await queue.add("charge", { account: "a" });

  const skipped = (await done).find(({ result }) => result !== undefined);
  const described = expect.stringMatching(
    new RegExp(`^bull:invoices:${id} attempt 1 \\(\\S+ pid \\d+\\)$`),
  );
  expect(conflicts.map(({ holder }) => holder?.text)).toEqual([described, described]);
  expect(skipped!.result).toMatchObject({ skipped: true, holder: described });
  expect(met[0]).toBeInstanceOf(LockConflictError);
  expect((met[0] as Error).message).not.toContain("#");
  expect((await queue.getJobLogs(skipped!.job.id!)).logs.join("\n")).not.toContain("#");
  expect((await redlock.list("account:*").next()).value?.holder?.text ?? "").not.toContain("#");
});
