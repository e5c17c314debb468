import { describe, expect, it } from "vitest";
import { LockLostError, LockUnavailableError } from "../../src/index.ts";
import { simulate } from "../support/simulated-redlock.ts";

const REASON = { reason: "its process hangs" };

describe("forceRelease", () => {
  it("frees the key, and no extend of the holder takes it back: its signal aborts", async () => {
    const { clock, nodes, redlock, client } = simulate(3);
    const lock = await clock.until(redlock.acquire("k", { holder: "an import" }));
    const operator = client();
    expect(await clock.until(operator.forceRelease("k", REASON))).toMatchObject({
      key: "k",
      outcome: "released",
      holder: { text: "an import", fencingToken: lock.fencingToken },
    });
    const stored = (): unknown[] => nodes.map(({ master }) => master.get("redlock:k"));
    expect(stored()).toEqual([undefined, undefined, undefined]);
    // Its next heartbeat finds free keys, as after a restart of masters, and must not set them again.
    await clock.pass(6_000);
    expect(stored()).toEqual([undefined, undefined, undefined]);
    expect(lock.held).toBe(false);
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(lock.signal.reason).toMatchObject({ reason: "taken" });
    await clock.until(redlock.close());
    await clock.until(operator.close());
  });

  it("refuses an extend that was on its way", async () => {
    const { clock, nodes, redlock, client } = simulate(3);
    const lock = await clock.until(redlock.acquire("k"));
    const operator = client();
    for (const { behaviour } of nodes) behaviour.there = 200;
    const extending = lock.extend();
    extending.catch(() => undefined);
    await clock.pass(1);
    for (const { behaviour } of nodes) behaviour.there = 1;
    await clock.until(operator.forceRelease("k", REASON));
    await expect(clock.until(extending)).rejects.toBeInstanceOf(LockLostError);
    expect(nodes.map(({ master }) => master.get("redlock:k"))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    await clock.until(redlock.close());
    await clock.until(operator.close());
  });

  it("hands the key over to the first waiter, under a higher token", async () => {
    const { clock, redlock, client } = simulate(3);
    const lock = await clock.until(redlock.acquire("k"));
    const next = client();
    const waiting = next.acquire("k", { waitTimeout: 60_000 });
    await clock.pass(200);
    const operator = client();
    const { outcome, waiting: waiters } = await clock.until(operator.forceRelease("k", REASON));
    expect([outcome, waiters]).toEqual(["released", 1]);
    await clock.pass(500);
    const taken = await clock.until(waiting);
    expect(taken.fencingToken).toBeGreaterThan(lock.fencingToken);
    await clock.pass(6_000);
    expect([lock.held, taken.held]).toEqual([false, true]);
    // The one that has lost it takes nothing away from the next one.
    expect(await clock.until(lock.release())).toBe("expired");
    expect(taken.held).toBe(true);
    for (const each of [redlock, next, operator]) await clock.until(each.close());
  });

  it("needs a quorum, and not all masters", async () => {
    const { clock, nodes, redlock, client } = simulate(3);
    const lock = await clock.until(redlock.acquire("k"));
    const operator = client();
    nodes[2]!.behaviour.refused = true;
    nodes[1]!.behaviour.refused = true;
    const none = clock.until(operator.forceRelease("k", REASON));
    await expect(none).rejects.toBeInstanceOf(LockUnavailableError);
    nodes[1]!.behaviour.refused = false;
    expect(await clock.until(operator.forceRelease("k", REASON))).toMatchObject({
      outcome: "released",
    });
    nodes[2]!.behaviour.refused = false;
    await clock.pass(6_000);
    expect(lock.signal.reason).toMatchObject({ reason: "taken" });
    await clock.until(redlock.close());
    await clock.until(operator.close());
  });

  it("removes nothing but the lock that was meant", async () => {
    const { clock, nodes, redlock, client } = simulate(3);
    const operator = client();
    expect(await clock.until(operator.forceRelease("k", REASON))).toMatchObject({
      outcome: "free",
    });
    const lock = await clock.until(redlock.acquire("k"));
    const other = { ...REASON, fencingToken: lock.fencingToken - 1 };
    expect(await clock.until(operator.forceRelease("k", other))).toMatchObject({
      outcome: "not-removed",
    });
    for (const { master } of nodes) master.set("redlock:foreign", "a value of redsync", 60_000);
    expect(await clock.until(operator.forceRelease("foreign", REASON))).toMatchObject({
      outcome: "not-removed",
      holder: { fencingToken: undefined },
    });
    await clock.pass(6_000);
    expect(lock.held).toBe(true);
    expect(nodes[0]!.master.get("redlock:foreign")).toBe("a value of redsync");
    await clock.until(redlock.close());
    await clock.until(operator.close());
  });
});
