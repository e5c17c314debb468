import type { Job, Processor } from "bullmq";
import { once } from "node:events";
import { describe, expect, expectTypeOf, it, onTestFinished } from "vitest";
import {
  defineLocks,
  loadLocks,
  type LockRule,
  type Locks,
  type LocksOptions,
} from "../../src/config/index.ts";
import {
  getLock,
  type Lock,
  LockConfigError,
  Redlock,
  RedlockClosedError,
  type SkippedResult,
} from "../../src/index.ts";
import { ends as endsOf, useBench } from "../bullmq/support.ts";
import { writeRules } from "./support.ts";

const bench = useBench();

function locksBy(rules: readonly LockRule[]): Locks {
  const nodes = bench.masterUrls;
  const locks = defineLocks({
    nodes,
    ttl: "1s",
    nodeTimeout: 250,
    restartGuard: "trust-new",
    rules,
  });
  onTestFinished(async () => await locks.close());
  return locks;
}

describe("wrap", () => {
  it("returns a function of three plain parameters, so that BullMQ passes the signal", async () => {
    const wrapped = locksBy([{ key: "a" }]).wrap(async () => await Promise.resolve());
    expect(wrapped).toHaveLength(3);
    expect(String(wrapped)).toMatch(/^async function lockedProcessor\(job, jobToken, signal\)/);
  });

  it("locks under the rule of the job's queue and name, and passes all four arguments", async () => {
    const { wrap } = locksBy([
      { queue: "invoices", job: "charge", key: "account:{{data.account}}" },
      { queue: "invoices", job: "mail*", key: null },
      { queue: "*", key: "queue:{{queueName}}" },
    ]);
    const seen: Record<string, unknown> = {};
    const processor: Processor = wrap(async (job: Job, jobToken, signal, lock) => {
      expect(getLock(job)).toBe(lock);
      seen[`${job.queueName} ${job.name}`] = [
        lock.keys,
        lock.held,
        typeof jobToken,
        signal.aborted,
      ];
      return await Promise.resolve(job.name);
    });
    for (const [queueName, name] of [
      ["invoices", "charge"],
      ["invoices", "mail-out"],
      ["invoices", "other"],
      ["reports", "charge"],
    ] as const) {
      const worker = bench.worker(processor, { name: queueName });
      const ends = endsOf(worker, 1);
      await bench.queue(queueName).add(name, { account: 7 });
      expect((await ends)[0]).toMatchObject({ result: name });
      await worker.close();
    }
    expect(seen).toEqual({
      "invoices charge": [["account:7"], true, "string", false],
      "invoices mail-out": [[], false, "string", false],
      "invoices other": [["queue:invoices"], true, "string", false],
      "reports charge": [["queue:reports"], true, "string", false],
    });
  });

  it("selects the rule by the data of the job, and locks all keys of a list", async () => {
    const { wrap } = locksBy([
      { when: { "data.dryRun": true }, key: null },
      { key: ["account:{{data.from}}", "account:{{data.to}}"] },
    ]);
    const seen: unknown[] = [];
    const worker = bench.worker(
      wrap(async (_job: Job, _token, _signal, lock) => {
        seen.push(lock.keys);
        await Promise.resolve();
      }) as Processor,
    );
    const ends = endsOf(worker, 2);
    await bench.queue().add("transfer", { from: 2, to: 1, dryRun: true });
    await bench.queue().add("transfer", { from: 2, to: 1 });
    await ends;
    expect(seen).toEqual([[], ["account:1", "account:2"]]);
  });

  it("runs jobs of one key one after the other, and skips by the policy of their rule", async () => {
    const { wrap, redlock } = locksBy([
      { job: "nightly", key: "report", onConflict: "skip" },
      { key: "report" },
    ]);
    const held = await redlock.acquire("report");
    const worker = bench.worker(wrap(async () => await Promise.resolve("ran")) as Processor);
    const skipped = endsOf(worker, 1);
    await bench.queue().add("nightly", {});
    expect((await skipped)[0]?.result).toMatchObject({ skipped: true, key: "report" });
    const parked = once(redlock, "parked");
    await bench.queue().add("daily", {});
    await parked;
    const ran = endsOf(worker, 1);
    await held.release();
    expect((await ran)[0]?.result).toBe("ran");
  });

  it("fails a job that no rule matches for good, without running it", async () => {
    const { wrap } = locksBy([{ queue: "reports", key: "a" }]);
    let runs = 0;
    const worker = bench.worker(
      wrap(async () => {
        runs += 1;
        await Promise.resolve();
      }) as Processor,
    );
    const ends = endsOf(worker, 1);
    await bench.queue().add("charge", {}, { attempts: 3 });
    const [{ job, error } = {}] = await ends;
    expect(error).toMatchObject({ name: "UnrecoverableError", code: "ERR_REDLOCK_KEY" });
    expect(job?.failedReason).toContain(
      'no rule matches the queue "invoices" and the job name "charge"; a rule with "key: null" lets such jobs run',
    );
    expect(runs).toBe(0);
  });

  it("refuses a processor that is no function", () => {
    const { wrap } = locksBy([{ key: "a" }]);
    expect(() => wrap("./processor.js" as never)).toThrow(
      'processor: found "./processor.js", expected a function that processes a job',
    );
  });

  it("has the types of withLock", () => {
    const { wrap } = locksBy([{ key: "a" }]);
    const wrapped = wrap(async (job: Job<{ account: string }>, jobToken, signal, lock) => {
      expectTypeOf(job.data.account).toEqualTypeOf<string>();
      expectTypeOf(jobToken).toEqualTypeOf<string>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(lock).toEqualTypeOf<Lock>();
      return await Promise.resolve(7);
    });
    // Any rule may skip jobs.
    expectTypeOf(wrapped).toExtend<Processor<{ account: string }, number | SkippedResult>>();
  });
});

describe("close", () => {
  it("closes the Redlock, and may be called again", async () => {
    const locks = locksBy([{ key: "a" }]);
    const lock = await locks.redlock.acquire("a");
    await locks.close();
    await locks.close();
    expect(lock.signal.reason).toMatchObject({ reason: "closed" });
    await expect(locks.redlock.acquire("a")).rejects.toThrow(RedlockClosedError);
  });
});

describe("loadLocks", () => {
  it("creates from a file what defineLocks creates in code", async () => {
    const [one, two, three] = bench.masterUrls;
    const path = await writeRules(
      `nodes: [${one}, "\${TWO}", ${three}]\nttl: 1s\nprefix: "mine:"\nrestartGuard: trust-new\nrules:\n- {key: "a:{{data.x}}", ttl: 900ms}\n`,
    );
    await using locks = await loadLocks(path, { environment: { TWO: two } });
    const lock = await locks.redlock.acquire("a:1");
    expect(lock.remaining()).toBeGreaterThan(0);
    // The third master may grant later than the two that make the quorum.
    const states = async () => (await locks.redlock.inspect("a:1")).nodes.map(({ state }) => state);
    await expect.poll(states).toEqual(["held", "held", "held"]);
    expect(locks.explain({ queueName: "q", name: "n", data: { x: 1 } })).toMatchObject({
      keys: ["a:1"],
      options: { ttl: 900 },
    });
  });
});

describe("options beside the rules", () => {
  it("replace those of the rules, and problems of their masters do not count", async () => {
    const path = await writeRules(
      'nodes: ["${MISSING}", http://x]\nprefix: "file:"\nttl: 2s\nrules: [{key: a}]\n',
    );
    const redlock = {
      nodes: bench.masterUrls,
      restartGuard: "trust-new" as const,
      prefix: "mine:",
      ...({ ttl: undefined } as object),
    };
    await using locks = await loadLocks(path, { redlock });
    await locks.redlock.acquire("a");
    await using mine = bench.redlock({ prefix: "mine:" });
    expect(await mine.isLocked("a")).toBe(true);
    expect(locks.explain({ queueName: "q", name: "n" }).options).toMatchObject({ ttl: 2_000 });
    const without = loadLocks(path, { redlock: { prefix: "x" }, environment: {} });
    await expect(without).rejects.toThrow("nodes[0]: found ${MISSING}, which is not set");
  });

  it.each<[unknown, string]>([
    [{ redlok: {} }, 'redlok: found an unknown option, expected "redlock"?'],
    [{ env: {} }, "env: found an unknown option, expected one of redlock, environment"],
    ["x", "options: found a text, expected an object of options"],
    [null, "options: found null, expected an object of options"],
    [{ redlock: 5 }, "redlock: found 5, expected an object of options of a Redlock"],
    [
      { redlock: new Redlock({ nodes: ["redis://a", "redis://b", "redis://c"] }) },
      "redlock: found an object, expected an object of options of a Redlock",
    ],
    [{ environment: 5 }, "environment: found 5, expected an object of texts, such as process.env"],
  ])("are refused when they are wrong: %j", async (given, message) => {
    const options = given as LocksOptions;
    const rules = { nodes: ["redis://a"], rules: [{ key: "a" }] };
    const path = await writeRules(JSON.stringify(rules));
    expect(() => defineLocks(rules, options)).toThrow(LockConfigError);
    expect(() => defineLocks(rules, options)).toThrow(message);
    await expect(loadLocks(path, options)).rejects.toThrow(LockConfigError);
    await expect(loadLocks(path, options)).rejects.toThrow(message);
  });

  it("come after the path of the file, which is a text", async () => {
    for (const [path, found] of [
      [5, "5"],
      [null, "null"],
      [{ redlock: {} }, "an object"],
    ] as const) {
      const loading = loadLocks(path as unknown as string);
      await expect(loading).rejects.toThrow(LockConfigError);
      await expect(loading).rejects.toThrow(
        `path: found ${found}, expected the path of a rules file`,
      );
    }
  });

  it("are refused when they do not fit the rules", () => {
    const rules = {
      nodes: ["redis://a"],
      maxTtl: "60s",
      rules: [{ key: "a", ttl: "30s" }],
    } as const;
    const act = (): Locks => defineLocks(rules, { redlock: { maxTtl: 20_000 } });
    expect(act).toThrow("rules[0].ttl: found 30000, expected whole milliseconds from 1 to 20000");
    expect(() => defineLocks(rules, { redlock: { tll: 5 } as object })).toThrow('expected "ttl"?');
  });
});

describe("types of rules in code", () => {
  it("know options, choices and durations", () => {
    const nodes = ["redis://a"];
    const accepted = [
      () =>
        defineLocks({ nodes, ttl: "15s", maxTtl: 60_000, rules: [{ key: "a", heartbeat: false }] }),
      () =>
        defineLocks({
          nodes: [{ host: "a" }],
          onLost: "fail",
          rules: [{ key: null, maxWait: "5m" }],
        }),
    ];
    const refused = [
      // @ts-expect-error a rule has a key
      () => defineLocks({ nodes, rules: [{ queue: "a" }] }),
      // @ts-expect-error no such option
      () => defineLocks({ nodes, rules: [{ key: "a", onConflct: "skip" }] }),
      // @ts-expect-error no such choice
      () => defineLocks({ nodes, rules: [{ key: "a", onConflict: "skipp" }] }),
      // @ts-expect-error no such unit
      () => defineLocks({ nodes, ttl: "15 seconds", rules: [{ key: "a" }] }),
      // @ts-expect-error a ratio has no unit
      () => defineLocks({ nodes, driftFactor: "3s", rules: [{ key: "a" }] }),
      // @ts-expect-error rules are data
      () => defineLocks({ nodes, rules: [{ key: "a", onConflict: () => "skip" }] }),
      // @ts-expect-error no masters
      () => defineLocks({ rules: [{ key: "a" }] }),
    ];
    expectTypeOf(accepted).toBeArray();
    expectTypeOf(refused).toBeArray();
  });
});
