import { describe, expect, it } from "vitest";
import { LockUnavailableError } from "../../src/index.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import { positionOf } from "../../src/waiters/waiter.ts";
import { simulate } from "../support/simulated-redlock.ts";

/** Puts a job into the wait list of `k`, as a process that is gone since has parked it. */
async function park({ client, clock }: ReturnType<typeof simulate>, id: string): Promise<void> {
  const gone = client();
  const position = positionOf(1_000, "id bull:invoices", id);
  const waiter = { position, priority: 0, queueId: "id bull:invoices", run: 1, replaceable: false };
  const how = { state: "parked", tries: 0, heldBackFor: 1_000 } as const;
  await clock.until(engineOf(gone).waitLists.join(waiter, ["k"], how));
  await clock.until(gone.close());
}

describe("wake", () => {
  it("reserves a free key for its first waiter, and then reports the reservation", async () => {
    const simulation = simulate(3);
    const { clock, redlock } = simulation;
    await park(simulation, "1");
    const waiter = { job: "bull:invoices:1", since: 1_000 };
    expect(await clock.until(redlock.wake("k"))).toEqual({
      key: "k",
      outcome: "woken",
      holder: undefined,
      waiter,
      expiresIn: undefined,
      waiting: 1,
    });
    expect(await clock.until(redlock.wake("k"))).toMatchObject({ outcome: "reserved", waiter });
    await clock.until(redlock.close());
  });

  it("leaves a held key alone, and needs a quorum", async () => {
    const { clock, redlock, nodes } = simulate(3);
    const lock = await clock.until(redlock.acquire("k", { holder: "me" }));
    expect(await clock.until(redlock.wake("k"))).toMatchObject({
      outcome: "held",
      holder: { text: "me" },
      waiting: 0,
    });
    await clock.until(lock.release());
    expect(await clock.until(redlock.wake("k"))).toMatchObject({ outcome: "free", waiting: 0 });
    for (const node of nodes.slice(1)) node.behaviour.refused = true;
    await expect(clock.until(redlock.wake("k"))).rejects.toBeInstanceOf(LockUnavailableError);
    await clock.until(redlock.close());
  });
});
