import type { Job, JobsOptions, WorkerOptions } from "bullmq";
import { expect, test } from "vitest";
import {
  type LockPolicies,
  type Redlock,
  type RedlockOptions,
  type RedlockWarning,
  withLock,
} from "../../src/index.ts";
import { mismatchesOfWorker } from "../../src/bullmq/mismatches.ts";
import { redisClient } from "../support/redis.ts";
import { ends, useBench } from "./support.ts";

const bench = useBench();
const KEY = "account:{{data.account}}";

/** A worker, its lock and its jobs. */
interface Setting {
  worker?: Partial<WorkerOptions>;
  redlock?: RedlockOptions;
  policies?: Partial<LockPolicies<Job>>;
  job?: JobsOptions;
}

const PATIENT: Partial<LockPolicies<Job>> = {
  onConflict: "skip",
  onUnavailable: "fail",
  onLost: "fail",
};

function warningsOf(redlock: Redlock): RedlockWarning[] {
  const warnings: RedlockWarning[] = [];
  redlock.on("warning", (warning) => warnings.push(warning));
  return warnings;
}

function locked(redlock: Redlock, policies: Partial<LockPolicies<Job>> = {}) {
  return withLock({ redlock, key: KEY, ...policies }, async (): Promise<unknown> => "ran");
}

/** Runs two jobs in one worker, and returns the warnings. */
async function run({ worker: options, redlock: other, policies, job }: Setting) {
  const redlock = bench.redlock(other);
  const warnings = warningsOf(redlock);
  const worker = bench.worker(locked(redlock, policies), options);
  const done = ends(worker, 2);
  const queue = bench.queue();
  for (const account of ["a", "b"]) await queue.add("charge", { account }, uniquely(account, job));
  await done;
  await worker.close();
  return warnings;
}

/** Two jobs that are not duplicates. */
function uniquely(account: string, { deduplication, ...rest }: JobsOptions = {}): JobsOptions {
  return deduplication === undefined
    ? rest
    : { ...rest, deduplication: { ...deduplication, id: account } };
}

test.each<{ code: string; says: string; setting: Setting }>([
  {
    code: "max-started-attempts",
    says: "the worker's maxStartedAttempts (5) counts each time a job is parked or delayed",
    setting: { worker: { maxStartedAttempts: 5 } },
  },
  {
    code: "limiter",
    says: "the worker's limiter counts each time a job is taken up",
    setting: { worker: { limiter: { max: 10, duration: 100 } } },
  },
  {
    code: "deduplication-replace",
    says: "is deleted by the next job of its deduplication id",
    setting: { job: { deduplication: { id: "", replace: true } } },
  },
  {
    code: "deduplication-keep-last",
    says: "a newer job of its deduplication id is dropped, with its data",
    setting: { job: { deduplication: { id: "", keepLastIfActive: true } } },
  },
  {
    code: "ttl-outlasts-job",
    says: "use a ttl of at most 1000, or a lockDuration of at least 2400",
    setting: {
      worker: { lockDuration: 2_000 },
      policies: { ttl: 1_200 },
      redlock: { maxTtl: 2_000 },
    },
  },
])("warns of $code once per worker", async ({ code, says, setting }) => {
  const first = await run(setting);
  const second = await run(setting);

  for (const warnings of [first, second]) {
    expect(warnings.map((warning) => warning.code)).toEqual([code]);
    expect(warnings[0]!.message).toContain(says);
    expect(warnings[0]!.message).toMatch(/^queue bull:invoices: /);
  }
});

test("warns of scheduler-delay when the jobs of a scheduler are delayed", async () => {
  const redlock = bench.redlock();
  const warnings = warningsOf(redlock);
  const worker = bench.worker(locked(redlock));
  const done = ends(worker, 2);

  await bench
    .queue()
    .upsertJobScheduler("nightly", { every: 50, limit: 2 }, { data: { account: "a" } });

  await done;
  expect(warnings.map(({ code }) => code)).toEqual(["scheduler-delay"]);
  expect(warnings[0]!.message).toContain('use "skip", or "keepLatest"');
});

test("does not warn of a scheduler whose jobs are skipped", async () => {
  const redlock = bench.redlock();
  const warnings = warningsOf(redlock);
  const worker = bench.worker(locked(redlock, { onConflict: "skip" }));
  const done = ends(worker, 2);

  await bench
    .queue()
    .upsertJobScheduler("nightly", { every: 50, limit: 2 }, { data: { account: "a" } });

  await done;
  expect(warnings).toEqual([]);
});

test.each([
  { how: "a URL", connection: () => ({ url: bench.queueUrl }) },
  { how: "host and port", connection: () => ({ host: "127.0.0.1", port: queuePort() }) },
  {
    how: "a client",
    connection: () => redisClient(bench.queueUrl, { maxRetriesPerRequest: null }),
  },
])("warns of queue-server when the queue's Redis, given by $how, is a master", async (given) => {
  const nodes = [bench.queueUrl, ...bench.masterUrls.slice(1)];
  const connection = given.connection() as WorkerOptions["connection"];

  const warnings = await run({ redlock: { nodes }, worker: { connection } });

  expect(warnings.map(({ code }) => code)).toEqual(["queue-server"]);
  expect(warnings[0]!.message).toContain(`127.0.0.1:${queuePort()} is a lock master and`);
});

function queuePort(): number {
  return Number(new URL(bench.queueUrl).port);
}

test("does not warn of what goes together", async () => {
  expect(await run({})).toEqual([]);
  expect(await run({ job: { deduplication: { id: "" } } })).toEqual([]);
  const counting = { maxStartedAttempts: 5, limiter: { max: 10, duration: 100 } };
  const replacing = { deduplication: { id: "", replace: true, keepLastIfActive: true } };
  expect(await run({ worker: counting, job: replacing, policies: PATIENT })).toEqual([]);
});

test("the default ttl fits BullMQ's defaults, and strict order fits Redis", () => {
  const facts = {
    options: {},
    lockDuration: 30_000,
    ttl: 15_000,
    keepsFields: true,
    queueServer: undefined,
  };
  const policies = {
    onConflict: "delay",
    order: "strict",
    retryOrder: "keep",
    onUnavailable: "delay",
    onLost: "delay",
    maxWait: undefined,
  } as const;

  expect(mismatchesOfWorker(facts, policies)).toEqual([]);
  expect(mismatchesOfWorker({ ...facts, ttl: 15_001 }, policies)).toHaveLength(1);
  expect(mismatchesOfWorker({ ...facts, keepsFields: false }, policies)).toMatchObject([
    { code: "strict-order-ignored" },
    { code: "retry-order-ignored" },
  ]);
});

test("warns of a second lock of the same worker too, of each mismatch once", async () => {
  const redlock = bench.redlock({ maxTtl: 2_000 });
  const warnings = warningsOf(redlock);
  const first = locked(redlock);
  const second = locked(redlock, { ttl: 2_000 });
  const worker = bench.worker(
    async (job, jobToken, signal) =>
      await (job.name === "first" ? first : second)(job, jobToken, signal),
    { maxStartedAttempts: 9, lockDuration: 3_000 },
  );
  const done = ends(worker, 2);
  const queue = bench.queue();

  await queue.add("first", { account: "a" });
  await queue.add("second", { account: "a" });

  await done;
  expect(warnings.map(({ code }) => code)).toEqual(["max-started-attempts", "ttl-outlasts-job"]);
});
