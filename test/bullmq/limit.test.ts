import type { Job } from "bullmq";
import { setTimeout as pass } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { LockConfigError } from "../../src/errors.ts";
import { type Lock, withLock } from "../../src/index.ts";
import { waitFor } from "../support/wait-for.ts";
import { ends, errorsOf, failureOf, Gate, next, TTL, useBench } from "./support.ts";

const bench = useBench();

interface Data {
  tenant: string;
  jobs?: number;
}

/** A processor that counts the jobs of each key that run at the same time, each of which waits for the gate. */
class Counted {
  readonly gates = new Map<string, Gate>();
  readonly slots = new Map<string, readonly number[]>();
  most = 0;
  #running = 0;

  readonly run = async (job: Job<Data>, _jobToken: string, _signal: AbortSignal, lock: Lock) => {
    this.#running += 1;
    this.most = Math.max(this.most, this.#running);
    this.slots.set(job.id ?? "", lock.slots);
    await this.gateOf(job.id ?? "").opened;
    this.#running -= 1;
  };

  gateOf(id: string): Gate {
    const gate = this.gates.get(id) ?? new Gate();
    this.gates.set(id, gate);
    return gate;
  }

  get running(): number {
    return this.#running;
  }
}

/** Two jobs of a tenant, and three in all. */
const key = ({ data }: Job<Data>) => [
  { key: `tenant:${data.tenant}`, limit: 2 },
  { key: "provider", limit: 3 },
];

describe("a limit", () => {
  test("lets so many jobs of a key run at a time, each in a slot of its own", async () => {
    const counted = new Counted();
    const redlock = bench.redlock();
    const processor = withLock({ redlock, key: "{{data.tenant}}", limit: 3 }, counted.run);
    const worker = bench.worker(processor, { concurrency: 10 });
    const ended = ends(worker, 10);
    const queue = bench.queue();
    await queue.addBulk(
      Array.from({ length: 10 }, (_, i) => ({
        name: "j",
        data: { tenant: "a" },
        opts: { jobId: `j${i}` },
      })),
    );
    await expect.poll(async () => await queue.getDelayedCount()).toBe(7);
    expect(counted.running).toBe(3);
    expect([...counted.slots.values()].flat().toSorted((a, b) => a - b)).toEqual([0, 1, 2]);
    for (let i = 0; i < 10; i++) counted.gateOf(`j${i}`).open();
    expect(await ended).toHaveLength(10);
    expect(counted.most).toBe(3);
    expect(errorsOf(worker)).toEqual([]);
  });

  test("comes from the data of the job, by a template or a function", async () => {
    const queue = bench.queue();
    for (const limit of ["{{data.jobs}}", ({ data }: Job<Data>) => data.jobs ?? 1]) {
      const counted = new Counted();
      const redlock = bench.redlock();
      const key =
        typeof limit === "string" ? "template:{{data.tenant}}" : "function:{{data.tenant}}";
      const processor = withLock({ redlock, key, limit }, counted.run);
      const worker = bench.worker(processor, { concurrency: 10 });
      const ended = ends(worker, 6);
      for (const [tenant, jobs] of [
        ["free", 1],
        ["paid", 2],
      ] as const) {
        for (const n of [1, 2, 3]) {
          await queue.add("j", { tenant, jobs }, { jobId: `${typeof limit}-${tenant}-${n}` });
        }
      }
      await expect.poll(async () => await queue.getDelayedCount()).toBe(3);
      expect(counted.running).toBe(3);
      for (const tenant of ["free", "paid"]) {
        for (const n of [1, 2, 3]) counted.gateOf(`${typeof limit}-${tenant}-${n}`).open();
      }
      expect((await ended).filter(({ error }) => error !== undefined)).toEqual([]);
      expect(counted.most).toBe(3);
      await worker.close();
    }
  });

  test("belongs to each key of a job with several, which takes all or none", async () => {
    const counted = new Counted();
    const redlock = bench.redlock();
    const worker = bench.worker(withLock({ redlock, key }, counted.run), { concurrency: 10 });
    const ended = ends(worker, 6);
    const queue = bench.queue();
    for (const id of ["a1", "a2", "a3", "b1", "b2", "b3"]) {
      await queue.add("j", { tenant: id.charAt(0) }, { jobId: id });
    }
    await expect.poll(async () => await queue.getDelayedCount()).toBe(3);
    expect(counted.running).toBe(3);
    for (const id of ["a1", "a2", "a3", "b1", "b2", "b3"]) counted.gateOf(id).open();
    expect((await ended).filter(({ error }) => error !== undefined)).toEqual([]);
    expect(counted.most).toBe(3);
  });

  test("counts a program that holds the plain key as one holder", async () => {
    const counted = new Counted();
    const redlock = bench.redlock();
    const lock = await bench.redlock().acquire("a");
    const processor = withLock({ redlock, key: "a", limit: 2 }, counted.run);
    bench.worker(processor, { concurrency: 10 });
    const queue = bench.queue();
    await queue.addBulk([1, 2].map((n) => ({ name: "j", data: {}, opts: { jobId: `j${n}` } })));
    await expect.poll(async () => await queue.getDelayedCount()).toBe(1);
    expect([...counted.slots.values()]).toEqual([[1]]);
    await lock.release();
    await expect.poll(() => counted.running).toBe(2);
    for (const n of [1, 2]) counted.gateOf(`j${n}`).open();
  });

  test("passes the slot of a dead holder on when its lock has ended", async () => {
    const counted = new Counted();
    const [dying, redlock] = [bench.redlock({ heartbeat: false }), bench.redlock()];
    await dying.acquire("a", { limit: 2 });
    await dying.acquire("a", { limit: 2 });
    const processor = withLock({ redlock, key: "a", limit: 2 }, counted.run);
    bench.worker(processor, { concurrency: 10 });
    const queue = bench.queue();
    await queue.addBulk([1, 2, 3].map((n) => ({ name: "j", data: {}, opts: { jobId: `j${n}` } })));
    await expect.poll(() => counted.running, { timeout: 10 * TTL }).toBe(2);
    expect(counted.most).toBe(2);
    for (const n of [1, 2, 3]) counted.gateOf(`j${n}`).open();
    await expect.poll(async () => await queue.getCompletedCount()).toBe(3);
  });

  test.each(["skip", "wait", "cancelInProgress", "keepLatest"] as const)(
    "is what the policy %s looks at: a job conflicts when all slots are taken",
    async (onConflict) => {
      const counted = new Counted();
      const redlock = bench.redlock();
      const processor = withLock({ redlock, key: "a", limit: 2, onConflict }, async (...given) => {
        const [, , signal] = given;
        const stopped = new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        });
        await Promise.race([counted.run(given[0], given[1], signal, given[3]), stopped]);
      });
      const worker = bench.worker(processor, { concurrency: 10 });
      const ended = ends(worker, 3);
      const queue = bench.queue();
      const conflict = next(redlock, "conflict");
      for (const n of [1, 2]) await queue.add("j", {}, { jobId: `j${n}` });
      await expect.poll(() => counted.running).toBe(2);
      await queue.add("j", {}, { jobId: "j3" });
      await conflict;
      expect(counted.most).toBe(2);
      if (onConflict === "cancelInProgress") {
        await expect.poll(async () => await queue.getFailedCount()).toBe(1);
      }
      for (const n of [1, 2, 3]) counted.gateOf(`j${n}`).open();
      const byId = new Map((await ended).map(({ job, ...end }) => [job.id, end]));
      expect(byId.get("j3")?.error).toBeUndefined();
      const failed = [...byId.values()].filter(({ error }) => error !== undefined);
      expect(failed).toHaveLength(onConflict === "cancelInProgress" ? 1 : 0);
    },
  );

  test("keeps the slot taken for minHold", async () => {
    const redlock = bench.redlock();
    const slots: number[] = [];
    const processor = withLock(
      { redlock, key: "a", limit: 2, minHold: TTL, onConflict: "skip" },
      async (_job, _token, _signal, lock) => void slots.push(lock.slot),
    );
    const ended = ends(bench.worker(processor), 3);
    const queue = bench.queue();
    await queue.addBulk([1, 2, 3].map(() => ({ name: "j", data: {} })));
    const results = (await ended).map(({ result }) => result);
    expect(slots.toSorted((a, b) => a - b)).toEqual([0, 1]);
    expect(results[2]).toMatchObject({ skipped: true, reason: "conflict" });
  });

  test("that is lowered takes effect as the holders end", async () => {
    const redlock = bench.redlock();
    const before = await Promise.all([1, 2, 3, 4].map(() => redlock.acquire("a", { limit: 4 })));
    expect(await redlock.tryAcquire("a", { limit: 2 })).toBeNull();
    for (const lock of before) await lock.release();
    const after = await Promise.all([1, 2].map(() => redlock.acquire("a", { limit: 2 })));
    expect(after.map(({ slot }) => slot).toSorted((a, b) => a - b)).toEqual([0, 1]);
    expect(await redlock.tryAcquire("a", { limit: 2 })).toBeNull();
  });
});

describe("a limit that cannot work", () => {
  test.each([
    [0, "limit: found a limit of 0, expected a whole number of holders from 1 to 1000"],
    [1.5, "limit: found a limit of 1.5"],
    [1_001, "limit: found a limit of 1001"],
    ["{{dta.jobs}}", 'limit: found "dta" at column 3'],
    [{}, "limit: found an object as a limit"],
    [[], "limit: found an empty array as a limit"],
  ])("is refused when a processor is wrapped: %j", (limit, message) => {
    const redlock = bench.redlock();
    const wrap = () => withLock({ redlock, key: "a", limit: limit as number }, async () => {});
    expect(wrap).toThrow(LockConfigError);
    expect(wrap).toThrow(message);
  });

  test("is refused under strict order", () => {
    const redlock = bench.redlock();
    const options = { redlock, key: "a", limit: 2, order: "strict" } as const;
    expect(() => withLock(options, async () => {})).toThrow(
      'order: found "strict", expected "arrival" with a limit',
    );
  });

  test("fails its job for good, with the job and what was found", async () => {
    const redlock = bench.redlock();
    const limits = {
      template: "{{data.jobs}}",
      function: ({ data }: Job<Data>) => data.jobs as number,
    };
    for (const [kind, limit] of Object.entries(limits)) {
      const processor = withLock({ redlock, key: "a", limit }, async () => {});
      const worker = bench.worker(processor, { name: kind });
      const ended = ends(worker, 1);
      await bench.queue(kind).add("j", { jobs: "many" }, { attempts: 5, jobId: "j7" });
      const [end] = await ended;
      expect(end?.error?.message).toContain(
        `job ${kind}:j7: the limit ${kind} gave a limit of "many", expected a whole number of holders`,
      );
      expect(end?.job.attemptsMade).toBe(1);
    }
  });

  test("is refused by acquire, and where a key has two", async () => {
    const redlock = bench.redlock();
    const wrong = [0, 5n as unknown as number];
    const limits = wrong.map((limit) => redlock.acquire("a", { limit }));
    limits.push(redlock.acquire({ key: "a", limit: -1 }));
    expect((await Promise.all(limits.map(failureOf))).map(String)).toEqual([
      expect.stringContaining("limit: found a limit of 0, expected a whole number of holders"),
      expect.stringContaining("limit: found 5n as a limit, expected a whole number of holders"),
      expect.stringContaining("lock key: found a limit of -1, expected a whole number of holders"),
    ]);
    const twice = redlock.acquire([{ key: "a", limit: 2 }, "a"]);
    expect(String(await failureOf(twice))).toContain(
      'lock key: found limits of 2 and 1 for the same key "a", expected one limit for each key',
    );
  });

  test("has a type", () => {
    const redlock = bench.redlock();
    withLock<Job<Data>>({ redlock, key: "a", limit: (job) => job.data.jobs ?? 1 }, async () => {});
    // @ts-expect-error -- a limit is a number, a template or a function
    expect(() => withLock({ redlock, key: "a", limit: true }, async () => {})).toThrow(
      LockConfigError,
    );
  });
});

test("a raised limit counts for the jobs that wait, after some seconds", async () => {
  const queue = bench.queue("raised");
  const running = new Map<number, number>();
  let active = 0;
  const open = (limit: number | undefined, generation: number) => {
    const redlock = bench.redlock({ ttl: 3_000 });
    const wrapped = withLock({ redlock, key: "tenant", ...(limit && { limit }) }, async () => {
      active += 1;
      running.set(generation, Math.max(running.get(generation) ?? 0, active));
      await pass(100);
      active -= 1;
    });
    return bench.worker(wrapped, { name: "raised", concurrency: 150 });
  };
  const before = open(2, 0);
  await queue.addBulk(Array.from({ length: 150 }, () => ({ name: "j", data: {} })));
  await waitFor(async () => expect(await queue.getDelayedCount()).toBeGreaterThan(100));
  await waitFor(() => expect(running.get(0)).toBe(2));
  await before.close();
  const after = open(6, 1);
  await waitFor(async () => expect(await queue.getCompletedCount()).toBe(150));
  expect([...running]).toEqual([
    [0, 2],
    [1, 6],
  ]);
  expect(errorsOf(after)).toEqual([]);
});
