/**
 * The same lock outside of jobs, for an HTTP handler, a script or another service that must not run while a job works on the
 * same account.
 *
 * Run it: `npx tsx examples/02-outside-bullmq.ts`
 */
import { LockConflictError, Redlock } from "bullmq-redlock";
import { startRedisNodes } from "bullmq-redlock/testing";

await using lockMasters = await startRedisNodes(3);
const redlock = new Redlock(lockMasters.redlockOptions);

// 1. Acquire, run, release. The call returns the routine's value, or throws its error.
const invoice = await redlock.using("account:42", async (lock) => {
  lock.assertHeld(); // directly before a step that cannot be undone
  return { account: 42, fence: lock.fencingToken };
});
console.log("made", invoice);

// 2. Acquire by hand. The error of a second call names the holder of the key.
const lock = await redlock.acquire("account:42", { holder: "nightly report" });
try {
  await redlock.acquire("account:42");
} catch (error) {
  if (!(error instanceof LockConflictError)) throw error;
  console.log(error.code, error.message);
}

// 3. Wait for the key. A message wakes the call when the key is released.
const waiting = redlock.acquire("account:42", { waitTimeout: 5_000 });
console.log("released:", await lock.release());
const next = await waiting;
console.log("tokens grow:", next.fencingToken > lock.fencingToken);
await next.release();

// 4. Lock several keys, all or none.
await redlock.using(["account:42", "account:43"], () => console.log("moved money"));

// 5. Check whether a key is locked.
console.log("locked:", await redlock.isLocked("account:42"));
await redlock.close();
