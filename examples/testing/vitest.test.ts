import type { Job } from "bullmq";
import { LockLostError, LockUnavailableError, withLock } from "bullmq-redlock";
import { assertNoOverlap, type CriticalSection, MemoryNodes } from "bullmq-redlock/testing";
import { afterEach, beforeEach, expect, test } from "vitest";

interface Charge {
  accountId: string;
}

let masters: MemoryNodes;
beforeEach(() => {
  masters = new MemoryNodes();
});
afterEach(async () => {
  await masters.close();
});

/** A plain object is enough for a job. Each job needs its own id. */
function jobFor(accountId: string, id = "1"): Job<Charge> {
  return { id, name: "charge", queueName: "charges", data: { accountId } } as Job<Charge>;
}

test("charges under the lock of the account", async () => {
  const redlock = masters.redlock();
  const processor = withLock(
    { redlock, key: "account:{{data.accountId}}" },
    async (_job: Job<Charge>, _jobToken, _signal, lock) => {
      expect(lock.held).toBe(true);
      return (await redlock.inspect("account:42")).locked;
    },
  );
  expect(await processor(jobFor("42"))).toBe(true);
  expect(await redlock.isLocked("account:42")).toBe(false);
});

test("skips a charge while another process works on the account", async () => {
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onConflict: "skip" },
    async (_job: Job<Charge>) => Promise.resolve("charged"),
  );
  const other = await masters.hold("account:42");
  expect(await processor(jobFor("42"))).toMatchObject({ skipped: true, key: "account:42" });
  await other.release();
  expect(await processor(jobFor("42"))).toBe("charged");
});

test("stops before it charges when the lock is lost", async () => {
  let charged = false;
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onLost: "fail" },
    async (_job: Job<Charge>, _jobToken, signal) => {
      await masters.lose("account:42"); // while the processor waits for another service
      signal.throwIfAborted();
      charged = true;
    },
  );
  await expect(processor(jobFor("42"))).rejects.toThrow(LockLostError);
  expect(charged).toBe(false);
});

test("charges nothing while the lock masters are unreachable", async () => {
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onUnavailable: "fail" },
    async (_job: Job<Charge>) => Promise.resolve("charged"),
  );
  masters.fail();
  await expect(processor(jobFor("42"))).rejects.toThrow(LockUnavailableError);
  masters.restore();
  expect(await processor(jobFor("42"))).toBe("charged");
});

test("never charges one account twice at the same time", async () => {
  const history: CriticalSection[] = [];
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onConflict: "wait" },
    async ({ data }: Job<Charge>) => {
      const from = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 5));
      history.push({ key: data.accountId, from, to: performance.now() });
    },
  );
  await Promise.all(
    ["42", "7", "42", "42"].map((accountId, id) => processor(jobFor(accountId, `${id}`))),
  );
  expect(history).toHaveLength(4);
  assertNoOverlap(history);
});

test("keeps the lock of a charge that takes a minute, but not after its process died", async () => {
  await using masters = new MemoryNodes({ virtualTime: true });
  const redlock = masters.redlock({ ttl: 15_000 });
  const kept = await redlock.acquire("account:42");
  // Without a heartbeat, the lock is not extended, as if its process had died.
  await redlock.acquire("account:7", { heartbeat: false });
  await masters.advance(60_000);
  expect(kept.held).toBe(true);
  expect(await redlock.isLocked("account:7")).toBe(false);
});
