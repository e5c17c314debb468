import { once } from "node:events";
import { type Job, Queue, Worker } from "bullmq";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Redlock, withLock } from "../../src/index.ts";
import { useRedisNodes } from "../support/redis.ts";
import { cli, type Outcome } from "./run-cli.ts";

const nodes = useRedisNodes(3);
const queueNodes = useRedisNodes(1);
let redlock: Redlock;
let queue: Queue;

beforeEach(() => {
  redlock = new Redlock({ ...nodes.redlockOptions, ttl: 10_000 });
  queue = new Queue("invoices", { connection: { url: queueNodes.urls[0]! } });
  return async () => {
    await queue.close();
    await redlock.close();
  };
});

function environment(): NodeJS.ProcessEnv {
  return {
    BULLMQ_REDLOCK_NODES: nodes.urls.join(", "),
    BULLMQ_REDLOCK_REDIS: queueNodes.urls[0]!,
  };
}

async function ask(...args: string[]): Promise<Outcome> {
  return await cli(["why", ...args], environment());
}

function work(onConflict: "delay" | "skip" | "wait" = "delay"): Worker {
  const worker = new Worker(
    "invoices",
    withLock({ redlock, key: "account:{{data.account}}", onConflict }, async (job: Job) => {
      if (job.name === "fails") throw new Error("no such account");
    }),
    { connection: { url: queueNodes.urls[0]! } },
  );
  onTestFinished(async () => await worker.close());
  return worker;
}

function next(event: "parked" | "skipped" | "acquired"): Promise<unknown> {
  return new Promise((resolve) => redlock.once(event, resolve));
}

describe("why", () => {
  it("names keys, holder, position and alarm of a parked job, with a master down", async () => {
    await using _ = await redlock.acquire("account:42", { holder: "an import" });
    work();
    const parked = next("parked");
    const job = await queue.add("a", { account: 42 });
    await parked;
    await expect.poll(async () => (await redlock.inspect("account:42")).waiting).toBe(1);
    await nodes.kill(2);
    const human = await ask(`bull:invoices:${job.id}`);
    const { code, out, notes } = await ask(job.id!, "--queue", "invoices", "--json");
    await nodes.restart(2);
    expect(human).toMatchObject({ code: 0, notes: "" });
    expect(human.out).toMatch(
      /^job bull:invoices:1 is parked: it has been waiting for account:42 for [\d.]+ m?s\n/,
    );
    expect(human.out).toMatch(
      /\n +KEY +HOLDER +FOR +POSITION\n +account:42 +an import +.+ 1 of 1\n/,
    );
    expect(human.out).toMatch(/comes back and asks for its lock again in [\d.]+ s \(20\d\d-/);
    expect(human.out).toContain("bullmq-redlock inspect account:42\n");
    expect([code, notes]).toEqual([0, ""]);
    expect(JSON.parse(out)).toMatchObject({
      job: `bull:invoices:${job.id}`,
      state: "delayed",
      delayedBy: "parked",
      waitingSince: expect.any(Number),
      returnsAt: expect.any(Number),
      keys: [{ key: "account:42", position: 1, waiting: 1, holder: { text: "an import" } }],
      queuePaused: false,
      workers: 1,
    });
  });

  it("names all holders of a key with a limit, each with its slot", async () => {
    const limit = { limit: 2 };
    await using a = await redlock.acquire("account:42", { ...limit, holder: "an import" });
    await using b = await redlock.acquire("account:42", { ...limit, holder: "an export" });
    const processor = withLock({ redlock, key: "account:42", ...limit }, async () => {});
    const worker = new Worker("invoices", processor, {
      connection: { url: queueNodes.urls[0]! },
    });
    onTestFinished(async () => await worker.close());
    const parked = next("parked");
    const job = await queue.add("a", {});
    await parked;
    await expect.poll(async () => (await redlock.inspect("account:42")).waiting).toBe(1);
    const { out } = await ask(`bull:invoices:${job.id}`);
    expect(out).toMatch(
      new RegExp(
        `\\n +KEY +HOLDER +FOR +POSITION\\n +account:42 +slot ${a.slot}: an import +\\S+ \\S+ +1 of 1\\n +slot ${b.slot}: an export +\\S+ \\S+ *\\n\\n`,
      ),
    );
    const json = await ask(`bull:invoices:${job.id}`, "--json");
    const [key] = JSON.parse(json.out).keys;
    expect(key).toMatchObject({
      holder: { text: "an import" },
      holders: [
        { text: "an import", slot: a.slot },
        { text: "an export", slot: b.slot },
      ],
    });
  });

  it("names the keys that an active job holds", async () => {
    const gate = new AbortController();
    const key = [{ key: "account:42" }, { key: "bank", limit: 2 }];
    const processor = withLock({ redlock, key: () => key }, async () => {
      await once(gate.signal, "abort");
    });
    const worker = new Worker("invoices", processor, { connection: { url: queueNodes.urls[0]! } });
    onTestFinished(async () => await worker.close());
    const acquired = next("acquired");
    const job = await queue.add("a", { account: 42 });
    await acquired;
    const human = await ask(`bull:invoices:${job.id}`);
    const { out } = await ask(`bull:invoices:${job.id}`, "--json");
    gate.abort();
    expect(human.out).toMatch(/has been active since .* UTC, and holds account:42 and bank\n/);
    expect(human.out).toContain("All about the key: bullmq-redlock inspect bank");
    expect(JSON.parse(out)).toMatchObject({ state: "active", held: ["account:42", "bank"] });
  });

  it("finds the key that an active job waits for in its slot", async () => {
    await using _ = await redlock.acquire("account:42", { holder: "an import" });
    work("wait");
    const job = await queue.add("a", { account: 42 });
    await expect.poll(async () => (await redlock.inspect("account:42")).waiting).toBe(1);
    const { code, out } = await ask(`bull:invoices:${job.id}`);
    expect(code).toBe(0);
    expect(out).toContain("is active, and waits in its worker slot for account:42\n");
    expect(out).toMatch(/^  account:42 +an import +.+ 1 of 1$/m);
  });

  it("says that the key is kept for a job that has failed, as the other commands do", async () => {
    const processor = withLock(
      { redlock, key: "account:42", retryOrder: "keep" },
      async ({ attemptsMade }: Job) => {
        if (attemptsMade === 0) throw new Error("no such account");
      },
    );
    const worker = new Worker("invoices", processor, { connection: { url: queueNodes.urls[0]! } });
    onTestFinished(async () => await worker.close());
    const options = { attempts: 2, backoff: 60_000 };
    const failed = await queue.add("a", { account: 42 }, options);
    const name = `bull:invoices:${failed.id}`;
    await expect.poll(async () => await failed.getState()).toBe("delayed");
    const parked = next("parked");
    const later = await queue.add("a", { account: 42 });
    await parked;
    await expect.poll(async () => (await redlock.inspect("account:42")).waiting).toBe(1);

    const kept = `kept for the next attempt of job ${name}`;
    const inspected = (await cli(["inspect", "account:42"], environment())).out;
    expect(inspected).toContain(`account:42 is ${kept}, for another`);
    expect(inspected).toContain("release --force --reason TEXT account:42");
    expect((await cli(["ls"], environment())).out).toContain(`(${kept})`);
    expect((await ask(`bull:invoices:${later.id}`)).out).toContain(`(${kept})`);
    expect((await ask(name)).out).toContain("account:42 stays reserved for it (retryOrder)");
    const { reserved } = await redlock.inspect("account:42");
    expect(reserved).toMatchObject({ job: name, forRetry: true });
    await expect(redlock.acquire("account:42")).rejects.toMatchObject({
      reservedFor: name,
      message: expect.stringContaining(`reserved for job ${name}`),
    });

    const unforced = await cli(["release", "account:42"], environment());
    expect(unforced).toMatchObject({ code: 1, out: expect.stringContaining("takes --force") });
    const force = ["release", "account:42", "--force", "--reason", "the job hangs"];
    const dry = await cli([...force, "--dry-run"], environment());
    expect(dry).toMatchObject({ code: 0, out: expect.stringContaining("Dry run") });
    expect(await later.getState()).toBe("delayed");
    const { code, out } = await cli(force, environment());
    expect([code, out]).toEqual([
      0,
      expect.stringContaining("The key is not kept any longer.\nIts waiter is told to start.\n"),
    ]);
    // It ran: each job fails once.
    await expect.poll(async () => await later.getState()).toBe("failed");
    expect(await failed.getState()).toBe("delayed");
  });

  it("says that the worker of an active job is gone, or is closing", async () => {
    const job = await queue.add("a", { account: 42 });
    const worker = new Worker("invoices", undefined, {
      connection: { url: queueNodes.urls[0]! },
    });
    await worker.getNextJob("token");
    await worker.close();
    const { out } = await ask(`bull:invoices:${job.id}`);
    expect(out).toMatch(/has been active since .* UTC, and holds no key, and waits for none: /);
    expect(out).toContain(
      "NO WORKERS that take up jobs: the one that runs this job is closing, or",
    );
  });

  it("says that the key of a parked job is reserved for it", async () => {
    const lock = await redlock.acquire("account:42");
    const worker = work("delay");
    const parked = next("parked");
    const job = await queue.add("a", { account: 42 });
    await parked;
    await worker.close();
    await lock.release();
    const { out } = await ask(`bull:invoices:${job.id}`);
    expect(out).toContain("The key is reserved for it: it starts when a worker of its queue takes");
    expect(out).toContain("The queue has NO WORKERS: start one.");
  });

  it("names the other reason of a job that waits for no key", async () => {
    const waiting = await queue.add("a", { account: 42 });
    const late = await queue.add("a", { account: 42 }, { delay: 30_000 });
    expect((await ask(waiting.id!, "--queue", "invoices")).out).toBe(
      `job bull:invoices:${waiting.id} waits for a worker\n\nThe queue has NO WORKERS: start one.\n`,
    );
    expect((await ask(late.id!, "--queue", "invoices")).out).toMatch(
      /is delayed by its own delay, and waits for no key\n\nIt runs in [\d.]+ s \(/,
    );
    await using _ = await redlock.acquire("account:7", { holder: "an import" });
    const worker = work("skip");
    const failed = new Promise((resolve) => worker.once("failed", resolve));
    const skipping = next("skipped");
    const fails = await queue.add("fails", { account: 42 });
    const skipped = await queue.add("a", { account: 7 });
    await Promise.all([failed, skipping]);
    await expect.poll(async () => await skipped.getState()).toBe("completed");
    await queue.pause();
    const paused = await queue.add("a", { account: 42 });
    const outs = await Promise.all(
      [waiting, fails, skipped, paused].map(
        async ({ id }) => await ask(id!, "--queue", "invoices"),
      ),
    );
    expect(outs.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(outs[0]!.out).toMatch(/^job bull:invoices:1 completed at 20\d\d-.* UTC\n$/);
    expect(outs[1]!.out).toMatch(/ failed at 20\d\d-.* UTC: "no such account"\n$/);
    expect(outs[2]!.out).toMatch(
      / completed at .* without having run \(conflict\): account:7 was held by an import\n$/,
    );
    expect(outs[3]!.out).toContain("The queue is PAUSED");
  });

  it("asks for queue and prefix when a prefix with a colon makes a name ambiguous", async () => {
    const other = new Queue("invoices", {
      connection: { url: queueNodes.urls[0]! },
      prefix: "app:prod",
    });
    onTestFinished(async () => await other.close());
    const { id } = await other.add("a", { account: 42 });
    const { code, notes } = await ask(`app:prod:invoices:${id}`);
    expect(code).toBe(2);
    expect(notes).toContain("for a prefix with a colon, give --queue and --queue-prefix");
    const told = await ask(id!, "--queue", "invoices", "--queue-prefix", "app:prod");
    expect(told.out).toMatch(/waits for a worker/);
  });

  it("ends with 1 for a job or a queue that is not there, and writes nothing", async () => {
    await queue.waitUntilReady();
    await queue.add("a", {});
    const job = await ask("no-such-job", "--queue", "invoices");
    expect(job).toMatchObject({ code: 1, notes: "" });
    expect(job.out).toMatch(/^there is no job bull:invoices:no-such-job: it was removed, or/);
    const other = await ask("1", "--queue", "invoyces", "--json");
    expect(other.code).toBe(1);
    expect(JSON.parse(other.out)).toEqual({
      job: "bull:invoyces:1",
      state: "unknown",
      queueExists: false,
    });
    expect((await ask("1", "--queue", "invoyces")).out).toBe(
      "there is no queue bull:invoyces on this Redis\n",
    );
    expect((await ask("1", "--queue", "invoices", "--queue-prefix", "jobs")).out).toBe(
      "there is no queue jobs:invoices on this Redis\n",
    );
  });

  it("names what is missing or does not answer, without a password", async () => {
    const masters = { BULLMQ_REDLOCK_NODES: nodes.urls.join(",") };
    for (const [args, env, message] of [
      [["17"], environment(), "why takes one job, as in: bullmq-redlock why bull:invoices:17"],
      [["bull:invoices:17"], masters, "expected --redis URL, or BULLMQ_REDLOCK_REDIS"],
      [
        ["bull:invoices:17", "--redis", "redis://:s3cr3t@127.0.0.1:1"],
        masters,
        "the Redis of the queue does not answer: connect ECONNREFUSED",
      ],
    ] as const) {
      const { code, out, notes } = await cli(["why", ...args], env);
      expect([code, out]).toEqual([2, ""]);
      expect(notes).toContain(message);
      expect(notes).not.toContain("s3cr3t");
    }
    queueNodes.pause(0);
    const hung = await ask("bull:invoices:17", "--timeout", "300");
    queueNodes.resume(0);
    expect(hung).toMatchObject({ code: 2, notes: expect.stringContaining("does not answer: ") });
  });

  it("fails with 3 when too few masters answer, and tells what the queue knows", async () => {
    work();
    await redlock.acquire("account:42");
    const parked = new Promise((resolve) => redlock.once("parked", resolve));
    const job = await queue.add("a", { account: 42 });
    await parked;
    const taker = new Worker("mails", undefined, { connection: { url: queueNodes.urls[0]! } });
    const mails = new Queue("mails", { connection: { url: queueNodes.urls[0]! } });
    onTestFinished(async () => {
      await taker.close();
      await mails.close();
    });
    const active = await mails.add("a", { account: 42 });
    await taker.getNextJob("token");
    await nodes.kill(1);
    await nodes.kill(2);
    const human = await ask(`bull:invoices:${job.id}`);
    const { code, out } = await ask(`bull:invoices:${job.id}`, "--json");
    const running = await ask(`bull:mails:${active.id}`);
    await nodes.restart(1);
    await nodes.restart(2);
    expect([human.code, human.out]).toEqual([
      3,
      expect.stringMatching(/ is delayed in its queue; what it holds or waits for is not known:\n/),
    ]);
    expect(running.out).toMatch(/^job bull:mails:1 is active in its queue; what it holds or/);
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({
      error: { exitCode: 3 },
      known: { job: `bull:invoices:${job.id}`, state: "delayed" },
    });
  });
});
