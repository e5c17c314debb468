/**
 * The same lock outside of jobs: an HTTP handler, a script, another service that must not meet the job of the same
 * account.
 *
 * Run it: `npx tsx examples/02-outside-bullmq.ts`
 */
import { LockConflictError, Redlock } from "bullmq-redlock";
import { startRedisNodes } from "bullmq-redlock/testing";

await using lockMasters = await startRedisNodes(3);
const redlock = new Redlock(lockMasters.redlockOptions);

// 1. Acquire, run, release. The routine's value or error is the outcome.
const invoice = await redlock.using("account:42", async (lock) => {
  lock.assertHeld(); // directly before something that can not be undone
  return { account: 42, fence: lock.fencingToken };
});
console.log("made", invoice);

// 2. By hand. Who comes second is told who holds the key.
const lock = await redlock.acquire("account:42", { holder: "nightly report" });
try {
  await redlock.acquire("account:42");
} catch (error) {
  if (!(error instanceof LockConflictError)) throw error;
  console.log(error.code, error.message);
}

// 3. Or waits, woken by a message when the key is given back.
const waiting = redlock.acquire("account:42", { waitTimeout: 5_000 });
console.log("released:", await lock.release());
const next = await waiting;
console.log("tokens grow:", next.fencingToken > lock.fencingToken);
await next.release();

// 4. Several keys, all or none.
await redlock.using(["account:42", "account:43"], () => console.log("moved money"));

// 5. What an operator wants to know.
console.log("locked:", await redlock.isLocked("account:42"));
await redlock.close();
