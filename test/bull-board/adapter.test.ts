import type { Job, Queue } from "bullmq";
import { Queue as OldQueue } from "bullmq5";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { RedlockAdapter, type RedlockAdapterOptions } from "../../src/bull-board/index.ts";
import { LockConfigError, type Redlock, withLock } from "../../src/index.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import { Gate, useBench } from "../bullmq/support.ts";
import { serveBoard } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const bench = useBench();

/** The data of a job of these tests. */
interface Data {
  readonly keys: string[];
}

/** A queue whose jobs keep their keys until the gate opens, and its board. */
async function startBoard(options: Partial<RedlockAdapterOptions> = {}) {
  const redlock = bench.redlock({ ttl: 20_000 });
  const queue = bench.queue();
  const gate = new Gate();
  const process = withLock(
    { redlock, key: (job: Job<Data>) => job.data.keys, jobLogs: "all" },
    async () => await gate.opened,
  );
  bench.worker(process, { concurrency: 20 });
  // Before the worker closes: it waits for its jobs.
  onTestFinished(() => gate.open());
  const board = await serveBoard(new RedlockAdapter(queue, { redlock, ...options }));
  const add = async (...keys: string[]): Promise<string> =>
    (await queue.add("charge", { keys })).id ?? "";
  return { redlock, queue, gate, add, ...board };
}

/** Waits until a check passes. */
async function until(check: () => Promise<void>): Promise<void> {
  await waitFor(check);
}

/** Waits until a key is held, and has so many waiters. */
async function waiting(redlock: Redlock, key: string, count: number): Promise<void> {
  await until(async () => {
    expect(await redlock.inspect(key)).toMatchObject({ locked: true, waiting: count });
  });
}

/** A link of an application to what it knows about a job. */
function traceOf({ id }: { id?: unknown }) {
  return { displayText: "trace", href: `https://traces/${String(id)}` };
}

describe("a parked job", () => {
  it("shows its key, its position, and for how long it waits", async () => {
    const { redlock, add, jobs, job, gate } = await startBoard();
    await add("account:42");
    await waiting(redlock, "account:42", 0);
    const ids = [await add("account:42"), await add("account:42"), await add("account:42")];
    await waiting(redlock, "account:42", 3);
    await until(async () => expect(Object.keys(await jobs())).toHaveLength(3));
    const shown = await jobs();
    for (const [index, position] of ["1st", "2nd", "3rd"].entries()) {
      const id = ids[index] ?? "";
      const text = new RegExp(`^waits for account:42, ${position} of 3, for [\\d.]+ m?s$`);
      expect(shown[id]?.externalUrl?.displayText).toMatch(text);
      expect((await job(id)).externalUrl?.displayText).toMatch(text);
    }
    gate.open();
    for (const id of ids) {
      await until(async () => expect((await job(id)).externalUrl).toBeUndefined());
    }
  });

  it("keeps what bull-board offers to edit and to duplicate", async () => {
    const { redlock, add, job } = await startBoard();
    await add("k");
    await waiting(redlock, "k", 0);
    const id = await add("k");
    await until(async () => expect((await job(id)).externalUrl).toBeDefined());
    expect(await job(id)).toMatchObject({ name: "charge", data: { keys: ["k"] } });
  });

  it("shows each of its keys", async () => {
    const { redlock, add, job } = await startBoard();
    await add("a", "b");
    await waiting(redlock, "b", 0);
    await add("b");
    await waiting(redlock, "b", 1);
    const id = await add("a", "b");
    await waiting(redlock, "a", 1);
    await until(async () =>
      expect((await job(id)).externalUrl?.displayText).toMatch(
        /^waits for a \(1st of 1\) and b \(2nd of 2\), for /,
      ),
    );
  });

  it("links to its own page with its log, or to its key on the dashboard", async () => {
    const { redlock, queue, add, job, logs, gate } = await startBoard();
    await add("a b&c");
    await waiting(redlock, "a b&c", 0);
    const id = await add("a b&c");
    await until(async () => expect((await job(id)).externalUrl?.href).toBe(`queue/invoices/${id}`));
    const other = await serveBoard(new RedlockAdapter(queue, { redlock, dashboard: "/locks/" }));
    expect((await other.job(id)).externalUrl?.href).toBe("/locks/key?key=a+b%26c");
    gate.open();
    await until(async () => expect(await logs(id)).toHaveLength(3));
    const lines = [
      /^\[lock\] "a b&c" is held by bull:invoices:\d+ attempt 1 \(\S+ pid \d+\); it expires in \d+ ms unless extended; parked$/,
      /^\[lock\] acquired "a b&c" with fencing token \d+$/,
      /^\[lock\] released "a b&c" with fencing token \d+$/,
    ];
    expect(await logs(id)).toEqual(lines.map((line) => expect.stringMatching(line) as string));
  });

  it("leaves the links of other jobs to the application", async () => {
    const board = await startBoard({ externalJobUrl: traceOf });
    const first = await board.add("k");
    await waiting(board.redlock, "k", 0);
    const id = await board.add("k");
    await until(async () =>
      expect((await board.job(id)).externalUrl?.displayText).toContain("waits for k"),
    );
    expect((await board.job(first)).externalUrl).toEqual(traceOf({ id: first }));
  });

  it("is shown on the board of a queue of BullMQ 5", async () => {
    const { redlock, add } = await startBoard();
    await add("k");
    await waiting(redlock, "k", 0);
    const id = await add("k");
    await waiting(redlock, "k", 1);
    const queue = new OldQueue("invoices", { connection: { url: bench.queueUrl } });
    onTestFinished(async () => await queue.close());
    const board = await serveBoard(new RedlockAdapter(queue as unknown as Queue, { redlock }));
    await until(async () =>
      expect((await board.job(id)).externalUrl?.displayText).toMatch(
        /^waits for k, 1st of 1, for /,
      ),
    );
  });

  it("is told from a job that is delayed for another reason", async () => {
    const { queue, redlock, jobs } = await startBoard();
    const scheduled = await queue.add("charge", { keys: ["k"] }, { delay: 60_000 });
    const failing = bench.queue("failing");
    const once = withLock({ redlock, key: "failing" }, (job: Job): Promise<void> => {
      return Promise.reject(new Error(`attempt ${job.attemptsMade}`));
    });
    await redlock.using("failing", async () => {
      bench.worker(once, { name: "failing" });
      const options = { attempts: 2, backoff: { type: "fixed", delay: 60_000 } };
      await failing.add("charge", {}, options);
      await waiting(redlock, "failing", 1);
      await until(async () => expect(await failing.getDelayedCount()).toBe(1));
    });
    // It was parked once; now it waits for its second attempt.
    await until(async () => expect((await failing.getDelayed())[0]?.attemptsMade).toBe(1));
    const other = await serveBoard(new RedlockAdapter(failing, { redlock }));
    expect(Object.values(await other.jobs())[0]?.externalUrl).toBeUndefined();
    expect((await jobs())[scheduled.id ?? ""]?.externalUrl).toBeUndefined();
  });
});

describe("the masters", () => {
  it("are asked once about each of the first 100 keys of a page", async () => {
    const { redlock, queue, jobs } = await startBoard();
    const keys = Array.from({ length: 120 }, (_, i) => `k${i}`);
    const locks = await Promise.all(keys.map(async (key) => await redlock.acquire(key)));
    const data = [...keys, ...keys].map((key) => ({ name: "charge", data: { keys: [key] } }));
    await queue.addBulk(data);
    await until(async () => expect(await queue.getDelayedCount()).toBe(240));
    await waiting(redlock, "k119", 2);
    const ask = vi.spyOn(engineOf(redlock).context.masters, "gather");
    const shown = Object.values(await jobs("delayed", 240));
    expect(ask).toHaveBeenCalledTimes(100);
    const texts = shown.map(({ externalUrl }) => externalUrl?.displayText ?? "");
    expect(texts).toHaveLength(240);
    expect(texts.filter((text) => /^waits for k\d+, (1st|2nd) of 2, for /.test(text))).toHaveLength(
      200,
    );
    expect(texts.filter((text) => /^waits for k\d+, for /.test(text))).toHaveLength(40);
    await Promise.all(locks.map(async (lock) => await lock.release()));
  });

  it("are asked for the first of a long wait list", async () => {
    const { redlock, queue, jobs } = await startBoard();
    const lock = await redlock.acquire("k");
    const entry = { name: "charge", data: { keys: ["k"] } };
    await queue.addBulk(Array.from({ length: 520 }, () => entry));
    await waiting(redlock, "k", 520);
    await until(async () => expect(await queue.getDelayedCount()).toBe(520));
    const texts = Object.values(await jobs("delayed", 600)).map(
      ({ externalUrl }) => externalUrl?.displayText ?? "",
    );
    expect(texts.filter((text) => text.startsWith("waits for k, 500th of 520, for "))).toHaveLength(
      1,
    );
    expect(
      texts.filter((text) => text.startsWith("waits for k, after the first 500 of 520, for ")),
    ).toHaveLength(20);
    await queue.obliterate({ force: true });
    await lock.release();
  });

  it("may be silent: the page shows what the job knows", async () => {
    const { redlock, queue, add, job } = await startBoard();
    await add("k");
    await waiting(redlock, "k", 0);
    const id = await add("k");
    await until(async () => expect((await job(id)).externalUrl).toBeDefined());
    const closed = bench.redlock();
    await closed.close();
    const other = await serveBoard(new RedlockAdapter(queue, { redlock: closed }));
    expect((await other.job(id)).externalUrl?.displayText).toMatch(/^waits for k, for [\d.]+ m?s$/);
    bench.freeze();
    try {
      expect((await job(id)).externalUrl?.displayText).toMatch(
        /^waits for k, for [\d.]+ m?s; too few masters answer$/,
      );
    } finally {
      bench.thaw();
    }
  });
});

it("shows hostile and long keys as printable text", async () => {
  const { redlock, add, jobs } = await startBoard();
  const hostile = `<img src=x onerror="alert(1)">\u202E\u0000`;
  const long = "k".repeat(400);
  for (const key of [hostile, long]) {
    await add(key);
    await waiting(redlock, key, 0);
    await add(key);
    await waiting(redlock, key, 1);
  }
  await until(async () => expect(Object.keys(await jobs())).toHaveLength(2));
  const texts = Object.values(await jobs()).map(({ externalUrl }) => externalUrl?.displayText);
  expect(texts).toContainEqual(
    expect.stringContaining(`waits for <img src=x onerror="alert(1)">\uFFFD\uFFFD, 1st of 1`),
  );
  expect(texts).toContainEqual(expect.stringContaining(`waits for ${"k".repeat(77)}..., 1st of 1`));
});

it.each<[options: object, message: RegExp]>([
  [{ redlock: {} }, /^redlock: found .*expected a Redlock/],
  [{ dashboard: "locks" }, /^dashboard: found "locks", expected/],
  [{ dashboard: "javascript:alert(1)" }, /^dashboard: found/],
  [{ dashboard: 5 }, /^dashboard: found 5/],
  [{ dashbord: "/locks" }, /^dashbord: found an unknown option, expected "dashboard"\?$/],
  [{ readonlyMode: true }, /^readonlyMode: found an unknown option, expected "readOnlyMode"\?$/],
])("refuses the options %j, and names the wrong one", (options, message) => {
  const all = { redlock: bench.redlock(), ...options };
  const create = () => new RedlockAdapter(bench.queue(), all);
  expect(create).toThrow(LockConfigError);
  expect(create).toThrow(message);
});

it("refuses options that are missing, and what is no queue", () => {
  const none = {} as RedlockAdapterOptions;
  const nothing = undefined as never;
  const queue = bench.queue();
  expect(() => new RedlockAdapter(queue, nothing)).toThrow(/^options: found nothing, expected an/);
  expect(() => new RedlockAdapter(queue, none)).toThrow(/^redlock: found nothing, expected a Redl/);
  expect(() => new RedlockAdapter(nothing, none)).toThrow(
    /^queue: found nothing, expected a Queue/,
  );
});

it("takes the options of BullMQAdapter, also those that it does not declare", () => {
  const options = { displayName: "Charges", allowCompletedRetries: false };
  const adapter = new RedlockAdapter(bench.queue(), { redlock: bench.redlock(), ...options });
  expect(adapter.getDisplayName()).toBe("Charges");
  expect(adapter.allowCompletedRetries).toBe(false);
});
