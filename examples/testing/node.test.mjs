import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { LockUnavailableError, withLock } from "bullmq-redlock";
import { MemoryNodes } from "bullmq-redlock/testing";

const job = { id: "1", name: "charge", queueName: "charges", data: { accountId: "42" } };

let masters;
before(() => {
  masters = new MemoryNodes({ virtualTime: true });
});
after(async () => {
  await masters.close();
});

test("waits for the key, then charges", async () => {
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onConflict: "wait" },
    async () => "charged",
  );
  const other = await masters.hold("account:42");
  const charged = processor(job);
  await masters.advance(3_000);
  await other.release();
  await masters.advance(0);
  assert.equal(await charged, "charged");
});

test("is parked after five seconds of waiting", async () => {
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onConflict: "wait" },
    async () => "charged",
  );
  const other = await masters.hold("account:42");
  const parked = assert.rejects(processor(job), { name: "DelayedError" });
  await masters.advance(5_000);
  await parked;
  await other.release();
});

test("charges nothing while the lock masters are unreachable", async () => {
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onUnavailable: "fail" },
    async () => "charged",
  );
  masters.fail();
  await assert.rejects(processor(job), LockUnavailableError);
  masters.restore();
  assert.equal(await processor(job), "charged");
});
