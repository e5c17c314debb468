import { describe, expect, it } from "vitest";
import { simulate } from "../support/simulated-redlock.ts";

describe("a lock that a quorum has granted", () => {
  it("is kept by a master that answered after the quorum when another one denies it", async () => {
    const { clock, nodes, redlock } = simulate(3, { ttl: 10_000, heartbeat: false });
    nodes[2]!.behaviour.back = 50;
    const lock = await clock.until(redlock.acquire("k"));
    await clock.pass(100);
    nodes[0]!.master.set("redlock:k", "9000000000000000:other:", 60_000);
    for (const node of nodes.slice(1)) node.behaviour.mute = true;
    await clock.until(lock.extend().catch(() => undefined));
    expect(lock.signal.aborted).toBe(false);
    expect(lock.remaining()).toBeGreaterThan(5_000);
    nodes[1]!.behaviour.mute = false;
    nodes[1]!.master.set("redlock:k", "9000000000000000:other:", 60_000);
    await clock.until(lock.extend().catch(() => undefined));
    expect(lock.signal.aborted).toBe(true);
    await clock.until(redlock.close());
  });

  it("is lost as taken when a denial ends the quorum, though others are silent", async () => {
    const { clock, nodes, redlock } = simulate(3, { ttl: 10_000 });
    nodes[2]!.behaviour.mute = true;
    const lock = await clock.until(redlock.acquire("k"));
    nodes[1]!.behaviour.mute = true;
    nodes[0]!.master.set("redlock:k", "9000000000000000:other:", 60_000);
    await clock.pass(5_000);
    expect(lock.signal.reason).toMatchObject({
      reason: "taken",
      votes: [{ vote: "held" }, { vote: "pending" }, {}],
    });
    await clock.until(redlock.close());
  });

  it("leaves nothing on any master when the grant came too late", async () => {
    const { clock, nodes, redlock } = simulate(3, {
      ttl: 1_000,
      nodeTimeout: 900,
      heartbeat: false,
    });
    nodes[0]!.behaviour.back = 10;
    nodes[1]!.behaviour.back = 700;
    nodes[2]!.behaviour.there = 750;
    await expect(clock.until(redlock.acquire("k"))).rejects.toMatchObject({
      code: "ERR_REDLOCK_UNAVAILABLE",
    });
    await clock.pass(800);
    for (const { master } of nodes) expect(master.get("redlock:k")).toBeUndefined();
    await clock.until(redlock.close());
  });
});
