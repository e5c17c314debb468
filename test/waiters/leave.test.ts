import { expect, it } from "vitest";
import { engineOf } from "../../src/redlock/redlock.ts";
import { positionOf, type Waiter } from "../../src/waiters/waiter.ts";
import { simulate } from "../support/simulated-redlock.ts";

const OPTIONS = { ttl: 10_000, nodeTimeout: 100 };

function waiterOf(run: number): Waiter {
  return { position: positionOf(0, "q", "1"), priority: 0, queueId: "q", run, replaceable: false };
}

/** A client whose key is held, and a job that joins its wait list and leaves it. */
async function start() {
  const { clock, redlock, client } = simulate(3, OPTIONS);
  await clock.until(client().acquire("k"));
  const { waitLists } = engineOf(redlock);
  const join = async (run: number): Promise<void> => {
    const how = { state: "parked", tries: 0, heldBackFor: OPTIONS.ttl } as const;
    await clock.until(waitLists.join(waiterOf(run), ["k"], how));
  };
  const leave = async (run: number): Promise<void> => {
    await clock.until(waitLists.leave(waiterOf(run), ["k"]));
  };
  const waiting = async (): Promise<number> => (await clock.until(redlock.inspect("k"))).waiting;
  return { join, leave, waiting };
}

it("removes the run that leaves, and an earlier one", async () => {
  const { join, leave, waiting } = await start();
  await join(1);
  expect(await waiting()).toBe(1);
  await leave(2);
  expect(await waiting()).toBe(0);
});

it("keeps the next run of a job when a late request of an earlier run leaves", async () => {
  const { join, leave, waiting } = await start();
  await join(2);
  await leave(1);
  expect(await waiting()).toBe(1);
});
