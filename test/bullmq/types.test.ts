import { Worker, type Job, type Processor } from "bullmq";
import { expectTypeOf, test } from "vitest";
import { type Lock, Redlock, type SkippedResult, withLock } from "../../src/index.ts";

interface Invoice {
  accountId: string;
  items: { sku: string }[];
}

const redlock = new Redlock();
redlock.on("warning", () => undefined);

async function processor(job: Job<Invoice>): Promise<string> {
  return await Promise.resolve(job.data.accountId);
}

async function count(job: Job<Invoice>): Promise<number> {
  return await Promise.resolve(job.data.items.length);
}

/** For the compiler only. */
function connect(processor: Processor<Invoice, string>): Worker<Invoice, string> {
  return new Worker<Invoice, string>("invoices", processor, { connection: {}, autorun: false });
}

test("infers the data, the result and the lock from an annotated job", () => {
  const wrapped = withLock(
    { redlock, key: "account:{{data.accountId}}" },
    async (job: Job<Invoice>, jobToken, signal, lock) => {
      expectTypeOf(job.data).toEqualTypeOf<Invoice>();
      expectTypeOf(jobToken).toEqualTypeOf<string>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(lock).toEqualTypeOf<Lock>();
      return await Promise.resolve(lock.fencingToken);
    },
  );
  expectTypeOf(wrapped).returns.resolves.toEqualTypeOf<number>();
  expectTypeOf(wrapped).toExtend<Processor<Invoice, number>>();
});

test("infers the data inside a Worker, and fits where one is wanted", () => {
  const processor: Processor<Invoice, string> = withLock(
    { redlock, key: "account:{{data.accountId}}" },
    async (job: Job<Invoice, string>) => await Promise.resolve(job.data.accountId),
  );
  expectTypeOf(connect).toBeCallableWith(processor);
  // Also a processor that has no result at all.
  const failing = withLock({ redlock, key: () => null }, async (_job: Job<Invoice>) => {
    await Promise.resolve();
    throw new Error("no");
  });
  expectTypeOf(connect).toBeCallableWith(failing);
});

test("takes several templates", () => {
  const wrapped = withLock(
    { redlock, key: ["account:{{data.accountId}}", "sku:{{data.items[*].sku}}"] },
    async (job: Job<Invoice>) => await Promise.resolve(job.data.items.length),
  );
  expectTypeOf(wrapped).returns.resolves.toEqualTypeOf<number>();
});

test("gives policies the type of the job", () => {
  withLock(
    {
      redlock,
      key: (job: Job<Invoice>) => [job.data.accountId, ...job.data.items.map(({ sku }) => sku)],
      onConflict: (job, conflict) => (job.data.accountId === conflict.key ? "skip" : "delay"),
      skipResult: (job) => job.data.items,
    },
    async (job) => await Promise.resolve(job.data.accountId),
  );
});

test("knows what a job may complete with that is skipped", () => {
  const key = "account:{{data.accountId}}";
  const under = {
    wait: withLock({ redlock, key, onConflict: "wait" }, processor),
    skip: withLock({ redlock, key, onConflict: "skip" }, processor),
    keepLatest: withLock({ redlock, key, onConflict: "keepLatest" }, processor),
    cancelInProgress: withLock({ redlock, key, onConflict: "cancelInProgress" }, processor),
    maxWait: withLock({ redlock, key, maxWait: 1_000, onMaxWait: "skip" }, processor),
    chosen: withLock(
      { redlock, key, onConflict: (job: Job<Invoice>) => (job.attemptsMade > 0 ? "fail" : "skip") },
      processor,
    ),
    skipResult: withLock({ redlock, key, onConflict: "skip", skipResult: () => 0 }, processor),
  };
  expectTypeOf(under.wait).returns.resolves.toEqualTypeOf<string>();
  expectTypeOf(under.skip).returns.resolves.toEqualTypeOf<string | SkippedResult>();
  expectTypeOf(under.keepLatest).returns.resolves.toEqualTypeOf<string | SkippedResult>();
  expectTypeOf(under.cancelInProgress).returns.resolves.toEqualTypeOf<string | SkippedResult>();
  expectTypeOf(under.maxWait).returns.resolves.toEqualTypeOf<string | SkippedResult>();
  expectTypeOf(under.chosen).returns.resolves.toEqualTypeOf<string | SkippedResult>();
  expectTypeOf(under.skipResult).returns.resolves.toEqualTypeOf<string | number>();
});

test("does not take what a worker promises for what a skipped job completes with", () => {
  const key = "account:{{data.accountId}}";
  const options = { connection: {} };
  const made = [
    () =>
      new Worker<Invoice, number>(
        "q",
        // @ts-expect-error a skipped job completes with an object
        withLock({ redlock, key, onConflict: "skip" }, count),
        options,
      ),
    () =>
      new Worker<Invoice, number | SkippedResult>(
        "q",
        withLock({ redlock, key, onConflict: "skip" }, count),
        options,
      ),
    () => new Worker<Invoice, number>("q", withLock({ redlock, key }, count), options),
  ];
  expectTypeOf(made).toBeArray();
});

test("knows a wrong path, a wrong choice and a wrong key function", () => {
  const refused = [
    // @ts-expect-error there is no such path
    () => withLock({ redlock, key: "account:{{data.acountId}}" }, processor),
    // @ts-expect-error nor among several templates
    () => withLock({ redlock, key: ["a", "account:{{data.acountId}}"] }, processor),
    // @ts-expect-error nor behind another path
    () => withLock({ redlock, key: "a:{{data.accountId ?? data.acountId}}" }, processor),
    // @ts-expect-error an object is no part of a key
    () => withLock({ redlock, key: "account:{{data.items}}" }, processor),
    // @ts-expect-error a later version may know it
    () => withLock({ redlock, key: "a:{{data.accountId}}", onConflict: "keepLast" }, processor),
    // @ts-expect-error a number is no key
    () => withLock({ redlock, key: (job: Job<Invoice>) => job.data.items.length }, processor),
    // @ts-expect-error a key function is synchronous
    () => withLock({ redlock, key: async () => await Promise.resolve("a") }, processor),
  ];
  expectTypeOf(refused).toBeArray();
});

test("fits a Worker whose result includes that of a skipped job, as README.md says", () => {
  const make = (): Worker<Invoice, string | SkippedResult> =>
    new Worker<Invoice, string | SkippedResult>(
      "invoices",
      withLock({ redlock, key: "account:{{data.accountId}}", onConflict: "skip" }, processor),
      { connection: {} },
    );
  expectTypeOf(make).returns.toEqualTypeOf<Worker<Invoice, string | SkippedResult>>();
});
