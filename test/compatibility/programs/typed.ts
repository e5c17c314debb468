// What a user writes, compiled in an empty folder against the packed package. It uses no type of BullMQ that is not in all
// versions from 5.72.1 on. A mistake that the compiler lets pass is an error: its directive is unused.
import { type Job, type Processor, Worker } from "bullmq";
import { type Lock, Redlock, type SkippedResult, withLock } from "bullmq-redlock";
import { defineLocks } from "bullmq-redlock/config";
import { type LockedSandboxedJob, LockedWorker } from "bullmq-redlock/worker";

interface Charge {
  accountId: string;
  items: { sku: string }[];
}

/** `any` is the same as nothing else. */
type IsAny<A> = 0 extends 1 & A ? true : false;
type Same<A, B> = [A, IsAny<A>, B] extends [B, IsAny<B>, A] ? true : false;
function same<A, B>(..._other: Same<A, B> extends true ? [] : ["these types differ", A, B]): void {}

const connection = { host: "127.0.0.1", port: 1 };
const redlock = new Redlock({ nodes: ["redis://127.0.0.1:1"] });
const key = "account:{{data.accountId}}";

const annotated = withLock(
  { redlock, key: "account:{{data.accountId}}" },
  async (job: Job<Charge>, jobToken, signal, lock) => {
    same<typeof job, Job<Charge>>();
    same<typeof jobToken, string>();
    same<typeof signal, AbortSignal>();
    same<typeof lock, Lock>();
    return await Promise.resolve(lock.fencingToken);
  },
);
same<ReturnType<typeof annotated>, Promise<number>>();
export const fits: Processor<Charge, number> = annotated;

// The type of the job comes from the worker.
export const workers = [
  new Worker<Charge>(
    "charges",
    withLock({ redlock, key: "account:{{data.accountId}}" }, async (job) => {
      same<typeof job.data, Charge>();
      return await Promise.resolve(job.data.accountId);
    }),
    { connection, autorun: false },
  ),
  new Worker<Charge>(
    "charges",
    withLock(
      {
        redlock,
        key: (job) => job.data.items.map(({ sku }) => sku),
        onConflict: (job) => (job.data.accountId === "vip" ? "wait" : "skip"),
      },
      async (job) => await Promise.resolve(job.data.accountId),
    ),
    { connection, autorun: false },
  ),
  new Worker<Charge, number, "charge" | "refund">(
    "charges",
    withLock({ redlock, key }, async (job) => {
      same<typeof job.name, "charge" | "refund">();
      return await Promise.resolve(job.data.items.length);
    }),
    { connection, autorun: false },
  ),
  new Worker(
    "charges",
    withLock({ redlock, key: () => null }, async (_job: Job<Charge>) => {
      await Promise.resolve();
      throw new Error("always");
    }),
    { connection, autorun: false },
  ),
];

export const refused = [
  // @ts-expect-error there is no such path
  withLock({ redlock, key: "account:{{data.accountID}}" }, async (_job: Job<Charge>) => {}),
  // @ts-expect-error an object is no part of a key
  withLock({ redlock, key: "account:{{data.items}}" }, async (_job: Job<Charge>) => {}),
  // @ts-expect-error there is no such policy
  withLock({ redlock, key, onConflict: "keepLast" }, async (_job: Job<Charge>) => {}),
  // @ts-expect-error a number is no key
  withLock({ redlock, key: (job: Job<Charge>) => job.data.items.length }, async () => {}),
  // @ts-expect-error there is no such option
  withLock({ redlock, key, onConflct: "skip" }, async (_job: Job<Charge>) => {}),
  new Worker<Charge>(
    "charges",
    // @ts-expect-error there is no such path in the data of the worker
    withLock({ redlock, key: "account:{{data.accountID}}" }, async () => {}),
    { connection, autorun: false },
  ),
  new LockedWorker("charges", async (_job: Job<Charge>) => {}, {
    connection,
    autorun: false,
    // @ts-expect-error there is no such path
    lock: { redlock, key: "account:{{data.accountID}}" },
  }),
];

// What a job completes with that may be skipped.
const work = async (job: Job<Charge>): Promise<number> =>
  await Promise.resolve(job.data.items.length);
const skips = withLock({ redlock, key, onConflict: "skip" }, work);
const latest = withLock({ redlock, key, onConflict: "keepLatest" }, work);
const cancels = withLock({ redlock, key, onConflict: "cancelInProgress" }, work);
const waits = withLock(
  { redlock, key, onConflict: "wait", maxWait: 1_000, onMaxWait: "fail" },
  work,
);
const gives = withLock({ redlock, key, maxWait: 1_000, onMaxWait: "skip" }, work);
const chooses = withLock(
  { redlock, key, onConflict: (job: Job<Charge>) => (job.attemptsMade > 0 ? "fail" : "skip") },
  work,
);
const replaces = withLock({ redlock, key, onConflict: "skip", skipResult: () => "none" }, work);
same<ReturnType<typeof skips>, Promise<number | SkippedResult>>();
same<ReturnType<typeof latest>, Promise<number | SkippedResult>>();
same<ReturnType<typeof cancels>, Promise<number | SkippedResult>>();
same<ReturnType<typeof waits>, Promise<number>>();
same<ReturnType<typeof gives>, Promise<number | SkippedResult>>();
same<ReturnType<typeof chooses>, Promise<number | SkippedResult>>();
same<ReturnType<typeof replaces>, Promise<number | string>>();
// @ts-expect-error the job may complete with a SkippedResult
export const tooNarrow: Processor<Charge, number> = skips;

export const inFiles = [
  new LockedWorker<Charge, number>("charges", "/charge.js", {
    connection,
    autorun: false,
    lock: { redlock, key: (job) => job.data.accountId },
  }),
  new LockedWorker<Charge>("charges", "/charge.js", {
    connection,
    autorun: false,
    lock: { redlock, key, onConflict: "skip" },
  }),
  new LockedWorker<Charge, number | SkippedResult>("charges", "/charge.js", {
    connection,
    autorun: false,
    lock: { redlock, key, onConflict: "keepLatest", onMaxWait: "skip" },
  }),
  new LockedWorker<Charge, number>("charges", "/charge.js", {
    connection,
    autorun: false,
    // @ts-expect-error the job may complete with a SkippedResult
    lock: { redlock, key, onConflict: "skip" },
  }),
];
export async function inFile(job: LockedSandboxedJob<Charge>): Promise<number> {
  return await Promise.resolve(job.data.items.length + job.lock.fencingToken);
}

const locks = defineLocks({ nodes: ["redis://127.0.0.1:1"], rules: [{ key }] });
export const byRules = new Worker<Charge>(
  "charges",
  locks.wrap(async (job) => {
    same<typeof job.data, Charge>();
    return await Promise.resolve(1);
  }),
  { connection, autorun: false },
);
same<
  ReturnType<typeof locks.wrap<Job<Charge>, number>>,
  (job: Job<Charge>, jobToken?: string, signal?: AbortSignal) => Promise<number | SkippedResult>
>();
