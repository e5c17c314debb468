const { LockLostError, withLock } = require("bullmq-redlock");
const { MemoryNodes } = require("bullmq-redlock/testing");

const job = { id: "1", name: "charge", queueName: "charges", data: { accountId: "42" } };

let masters;
beforeEach(() => {
  masters = new MemoryNodes();
});
afterEach(async () => {
  jest.useRealTimers();
  await masters.close();
});

test("skips a charge while another process works on the account", async () => {
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onConflict: "skip" },
    async () => "charged",
  );
  const other = await masters.hold("account:42");
  expect(await processor(job)).toMatchObject({ skipped: true, key: "account:42" });
  await other.release();
  expect(await processor(job)).toBe("charged");
});

test("stops before it charges when the lock is lost", async () => {
  const charge = jest.fn();
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}", onLost: "fail" },
    async (_job, _jobToken, signal) => {
      await masters.lose("account:42");
      signal.throwIfAborted();
      charge();
    },
  );
  await expect(processor(job)).rejects.toThrow(LockLostError);
  expect(charge).not.toHaveBeenCalled();
});

test("keeps the lock while a charge takes a minute, with the fake timers of Jest", async () => {
  jest.useFakeTimers();
  const processor = withLock(
    { redlock: masters.redlock(), key: "account:{{data.accountId}}" },
    async (_job, _jobToken, _signal, lock) => {
      await new Promise((resolve) => setTimeout(resolve, 60_000));
      return lock.held;
    },
  );
  const charged = processor(job);
  await jest.advanceTimersByTimeAsync(60_000);
  expect(await charged).toBe(true);
});
