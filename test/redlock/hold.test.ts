import { describe, expect, it } from "vitest";
import { LockConflictError } from "../../src/index.ts";
import { simulate } from "../support/simulated-redlock.ts";

describe("hold", () => {
  it("takes the key after its holder, before all that wait already", async () => {
    const { clock, redlock, client } = simulate(3);
    const lock = await clock.until(redlock.acquire("k"));
    const waiters = [client(), client()];
    const order: string[] = [];
    const waiting = waiters.map(async (each, index) => {
      const holder = index === 0 ? "waiter 0" : "waiter 1 of two";
      const taken = await each.acquire("k", { waitTimeout: 60_000, holder });
      order.push(`waiter ${index}`);
      await taken.release();
    });
    await clock.pass(500);
    const operator = client();
    const holding = operator.hold("k", "a migration", { waitTimeout: 60_000 });
    void holding.then(() => order.push("hold"));
    await clock.pass(500);
    expect(order).toEqual([]);
    const described = (await clock.until(redlock.inspect("k"))).waiters.map((each) => each.holder);
    expect(described[0]).toMatch(/^an operator on .+ \(hold\): a migration$/);
    expect(described.slice(1)).toEqual(["waiter 0", "waiter 1 of two"]);
    await clock.until(lock.release());
    const hold = await clock.until(holding);
    await clock.pass(20_000);
    expect(order).toEqual(["hold"]);
    const conflict = await clock.until(redlock.acquire("k").catch((error: unknown) => error));
    expect(conflict).toBeInstanceOf(LockConflictError);
    expect(conflict).toMatchObject({
      message: expect.stringMatching(/held by an operator on .+ \(hold\): a migration; it expires/),
    });
    await clock.until(hold.release());
    await clock.until(Promise.all(waiting));
    expect(order).toEqual(["hold", "waiter 0", "waiter 1"]);
    for (const each of [redlock, operator, ...waiters]) await clock.until(each.close());
  });

  it.each([
    ["no object", null, "options"],
    ["a limit", { limit: 3 }, "limit"],
  ])("refuses options that it does not have: %s", async (_, options, path) => {
    const { clock, redlock } = simulate(3);
    const holding = redlock.hold("k", "a migration", options as never);
    await expect(clock.until(holding)).rejects.toMatchObject({ code: "ERR_REDLOCK_CONFIG", path });
    await clock.until(redlock.close());
  });

  it("leaves the wait list when its wait ends", async () => {
    const { clock, redlock, client } = simulate(3);
    const lock = await clock.until(redlock.acquire("k"));
    const operator = client();
    const giveUp = new AbortController();
    const aborted = operator.hold("k", "a", { waitTimeout: 60_000, signal: giveUp.signal });
    const late = operator.hold("k", "b", { waitTimeout: 1_000 });
    const ended = Promise.allSettled([aborted, late]);
    await clock.pass(500);
    expect((await clock.until(redlock.inspect("k"))).waiting).toBe(2);
    giveUp.abort(new Error("enough"));
    expect(await clock.until(ended)).toMatchObject([
      { reason: { message: "enough" } },
      { reason: { name: "LockConflictError" } },
    ]);
    await clock.pass(100);
    expect((await clock.until(redlock.inspect("k"))).waiting).toBe(0);
    await clock.until(lock.release());
    for (const each of [redlock, operator]) await clock.until(each.close());
  });

  it("refuses a key with a limit, of which it would take one slot", async () => {
    const { clock, redlock } = simulate(3);
    const lock = await clock.until(redlock.acquire("k", { limit: 3 }));
    const refused = await clock.until(redlock.hold("k", "a").catch((error: unknown) => error));
    expect(String(refused)).toContain(
      "key: found a key with a limit of 3, expected a key without a limit",
    );
    await clock.until(lock.release());
    await clock.until(redlock.close());
  });

  it("refuses a hold without a reason", async () => {
    const { clock, redlock } = simulate(3);
    for (const reason of ["", undefined, 5]) {
      await expect(redlock.hold("k", reason as string)).rejects.toMatchObject({
        code: "ERR_REDLOCK_CONFIG",
        path: "reason",
      });
    }
    await clock.until(redlock.close());
  });
});
