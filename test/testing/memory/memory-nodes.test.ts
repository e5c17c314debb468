import type { Job } from "bullmq";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import {
  LockConflictError,
  type Lock,
  LockKeyError,
  LockLostError,
  LockUnavailableError,
  NotReadyError,
  Redlock,
  withLock,
} from "../../../src/index.ts";
import { MemoryNodes, type MemoryNodesOptions } from "../../../src/testing/index.ts";
import { waitFor } from "../../support/wait-for.ts";

const KEY = "account:42";
const job = { id: "1", name: "charge", queueName: "charges", data: { accountId: "42" } } as Job;

function memory(options?: MemoryNodesOptions): MemoryNodes {
  const masters = new MemoryNodes(options);
  onTestFinished(async () => await masters.close());
  return masters;
}

describe("a Redlock on masters in memory", () => {
  it("is a Redlock, and takes, tells and gives back locks at once", async () => {
    const redlock = memory().redlock({ ttl: 5_000 });
    expect(redlock).toBeInstanceOf(Redlock);
    const first = await redlock.acquire([KEY, "account:7"]);
    await first.extend();
    expect(await redlock.inspect(KEY)).toMatchObject({ locked: true, quorum: 2 });
    await expect(redlock.acquire(KEY)).rejects.toThrow(LockConflictError);
    const listed: string[] = [];
    for await (const { key } of redlock.list("account:[0-9]*")) listed.push(key);
    expect(listed.sort()).toEqual([KEY, "account:7"]);
    expect(await first.release()).toBe("released");
    const second = await redlock.acquire(KEY);
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
  });

  it("is ready, unless its masters are unreachable", async () => {
    const masters = memory({ count: 5 });
    const redlock = masters.redlock();
    expect(await redlock.ready()).toMatchObject({ quorum: 3, findings: [] });
    masters.fail();
    await expect(redlock.ready()).rejects.toThrow(NotReadyError);
    await expect(redlock.acquire(KEY)).rejects.toThrow(
      /^"account:42": 0 of 5 masters .* memory-1:6379 unreachable \(ECONNREFUSED\)/,
    );
    masters.restore();
    await redlock.acquire(KEY);
  });

  it("lets a waiting acquire in as soon as the key is free", async () => {
    const masters = memory();
    const other = await masters.hold(KEY);
    const waiting = masters.redlock().acquire(KEY, { waitTimeout: 60_000 });
    await waitFor(async () => {
      expect((await masters.redlock().inspect(KEY)).waiting).toBe(1);
    });
    await other.release();
    expect((await waiting).held).toBe(true);
  });

  it("ends what it holds when the masters are closed, and closes twice", async () => {
    const masters = new MemoryNodes();
    const lock = await masters.redlock().acquire(KEY);
    await masters.close();
    await masters.close();
    expect(lock.signal.reason).toMatchObject({ reason: "closed" });
  });
});

describe("a processor that is wrapped, with a plain object for a job", () => {
  it("runs, and holds the key meanwhile", async () => {
    const masters = memory();
    const redlock = masters.redlock();
    const processor = withLock({ redlock, key: "account:{{data.accountId}}" }, async () => {
      return (await redlock.inspect(KEY)).locked;
    });
    expect(await processor(job)).toBe(true);
    expect((await redlock.inspect(KEY)).locked).toBe(false);
  });

  it.each([
    ["delay", { message: /^delayed for \d+ ms: conflict$/, name: "DelayedError" }],
    ["keepLatest", { message: /^delayed for \d+ ms: conflict$/, name: "DelayedError" }],
    ["cancelInProgress", { message: /^delayed for \d+ ms: conflict$/, name: "DelayedError" }],
    ["wait", { message: /^delayed for \d+ ms: conflict$/, name: "DelayedError" }],
    ["fail", { message: /another client/, name: "LockConflictError" }],
  ] as const)('gives way under "%s" as a job does', async (onConflict, { message, name }) => {
    const masters = memory();
    await masters.hold(KEY);
    const redlock = masters.redlock();
    const warned = vi.fn();
    redlock.on("warning", warned);
    const run = vi.fn(() => Promise.resolve());
    const patience = onConflict === "wait" ? { waitTimeout: 1 } : {};
    const processor = withLock({ redlock, key: KEY, onConflict, ...patience }, run);
    const error = await processor(job).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name, message: expect.stringMatching(message) as string });
    expect(run).not.toHaveBeenCalled();
    expect(warned).not.toHaveBeenCalled();
  });

  it('is skipped under "skip"', async () => {
    const masters = memory();
    await masters.hold(KEY);
    const redlock = masters.redlock();
    const processor = withLock({ redlock, key: KEY, onConflict: "skip" }, () => Promise.resolve());
    expect(await processor(job)).toMatchObject({ skipped: true, key: KEY });
  });

  it("is told of masters that are unreachable by the policy", async () => {
    const masters = memory();
    masters.fail();
    const redlock = masters.redlock();
    const processor = withLock({ redlock, key: KEY, onUnavailable: "fail" }, () =>
      Promise.resolve(),
    );
    await expect(processor(job)).rejects.toThrow(LockUnavailableError);
  });
});

describe("lose", () => {
  it("aborts the signal of the holder, as when the masters forget the lock", async () => {
    const masters = memory();
    const redlock = masters.redlock({ prefix: "app:" });
    const processor = withLock(
      { redlock, key: KEY, onLost: "fail" },
      async (_job, _jobToken, signal) => {
        await masters.lose(KEY);
        expect(signal.reason).toBeInstanceOf(LockLostError);
      },
    );
    await expect(processor(job)).rejects.toMatchObject({
      code: "ERR_REDLOCK_LOST",
      reason: "taken",
    });
    await masters.redlock({ prefix: "app:" }).acquire(KEY);
  });

  it("needs masters that can be reached", async () => {
    const masters = memory();
    const lock = await masters.hold(KEY);
    masters.fail();
    await expect(masters.lose(KEY)).rejects.toThrow(LockUnavailableError);
    expect(lock.held).toBe(true);
  });
});

describe("virtual time", () => {
  it("moves by advance alone: heartbeats extend a lock, and without them it ends", async () => {
    const masters = memory({ virtualTime: true });
    const redlock = masters.redlock({ ttl: 15_000 });
    const kept = await redlock.acquire(KEY);
    const ending = await redlock.acquire("account:7", { heartbeat: false });
    await masters.advance(60_000);
    expect([kept.held, ending.held]).toEqual([true, false]);
    expect(ending.signal.reason).toMatchObject({ reason: "ended" });
    await redlock.acquire("account:7");
  });

  it("loses a lock while its masters are unreachable, and not before its end is near", async () => {
    const masters = memory({ virtualTime: true });
    const lock = await masters.redlock({ ttl: 15_000 }).acquire(KEY);
    masters.fail();
    await masters.advance(10_000);
    expect(lock.held).toBe(true);
    await masters.advance(5_000);
    expect(lock.signal.reason).toMatchObject({ reason: "expired" });
  });

  it("ends a wait", async () => {
    const masters = memory({ virtualTime: true });
    await masters.hold(KEY);
    const waiting = masters.redlock().acquire(KEY, { waitTimeout: 30_000 });
    const settled = vi.fn();
    waiting.catch(settled);
    await masters.advance(29_999);
    expect(settled).not.toHaveBeenCalled();
    await masters.advance(1);
    await expect(waiting).rejects.toThrow(LockConflictError);
  });
});

describe("fake timers of the runner", () => {
  it("do not touch virtual time", async () => {
    vi.useFakeTimers({ toFake: [...EVERYTHING] });
    onTestFinished(() => void vi.useRealTimers());
    await using masters = new MemoryNodes({ virtualTime: true });
    const lock = await masters.redlock({ ttl: 1_000 }).acquire(KEY, { heartbeat: false });
    await masters.advance(1_000);
    expect(lock.held).toBe(false);
  }, 5_000);

  it("do not touch virtual time when they are there first", async () => {
    vi.useFakeTimers({ toFake: [...EVERYTHING] });
    onTestFinished(() => void vi.useRealTimers());
    vi.resetModules();
    const { MemoryNodes } = await import("../../../src/testing/index.ts");
    await using masters = new MemoryNodes({ virtualTime: true });
    await masters.advance(1);
  }, 10_000);

  it("drive masters in real time", async () => {
    vi.useFakeTimers({ toFake: [...EVERYTHING] });
    onTestFinished(() => void vi.useRealTimers());
    const masters = new MemoryNodes();
    const redlock = masters.redlock({ ttl: 15_000 });
    const lock: Lock = await redlock.acquire(KEY);
    const waiting = masters.redlock().acquire(KEY, { waitTimeout: 50_000 });
    const refused = expect(waiting).rejects.toThrow(LockConflictError);
    await vi.advanceTimersByTimeAsync(60_000);
    await refused;
    expect(lock.held).toBe(true);
    await masters.close();
    expect(vi.getTimerCount()).toBe(0);
  });
});

/** What Jest fakes by default, too. */
const EVERYTHING = [
  "setTimeout",
  "clearTimeout",
  "setInterval",
  "clearInterval",
  "setImmediate",
  "clearImmediate",
  "Date",
  "performance",
  "queueMicrotask",
] as const;

describe("a key with a limit on masters in memory", () => {
  it("is held by as many other clients as a test needs, and refuses the next", async () => {
    const masters = memory();
    const redlock = masters.redlock();
    const key = { key: KEY, limit: 3 };
    const others = [await masters.hold(key), await masters.hold(key), await masters.hold(key)];
    expect(new Set(others.map(({ slot }) => slot)).size).toBe(3);
    const processor = withLock(
      { redlock, key: KEY, limit: 3, onConflict: "fail" },
      async () => await Promise.resolve("done"),
    );
    await expect(processor(job)).rejects.toThrow(`"${KEY}" has 3 of 3 slots taken`);
    await others[1]?.release();
    expect(await redlock.isLocked(KEY)).toBe(false);
    expect(await processor(job)).toBe("done");
    await expect(masters.hold([KEY] as never)).rejects.toThrow(LockKeyError);
  });

  it("is lost by all its holders", async () => {
    const masters = memory();
    const redlock = masters.redlock();
    const held = [
      await redlock.acquire(KEY, { limit: 2 }),
      await redlock.acquire(KEY, { limit: 2 }),
    ];
    await masters.lose(KEY);
    for (const { signal } of held) expect(signal.reason).toBeInstanceOf(LockLostError);
    expect((await redlock.inspect(KEY)).holders).toEqual([]);
  });
});
