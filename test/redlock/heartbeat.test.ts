import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { LockLostError } from "../../src/errors.ts";
import { simulate } from "../support/simulated-redlock.ts";

const OPTIONS = { ttl: 1_000, nodeTimeout: 50 };

describe("the heartbeat", () => {
  it("keeps a lock for ten times its ttl, on every master", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    for (let i = 0; i < 100; i++) {
      await clock.pass(100);
      expect(lock.held).toBe(true);
      for (const { master } of nodes) expect(master.get("redlock:k")).toBeDefined();
    }
  });

  it("beats about every third of the ttl, not more", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("k"));
    await clock.pass(10_000);
    const beats = nodes[0]!.sent.filter((name) => name === "extend").length;
    expect(beats).toBeGreaterThanOrEqual(29);
    expect(beats).toBeLessThanOrEqual(32);
  });

  it("is repeated soon when it moved nothing, and outlives a short outage", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    await clock.pass(300);
    for (const { behaviour } of nodes) behaviour.refused = true;
    await clock.pass(350);
    for (const { behaviour } of nodes) behaviour.refused = false;
    await clock.pass(5_000);
    expect(lock.held).toBe(true);
  });

  it("serves many locks with few timers", async () => {
    const { clock, redlock } = simulate(3, OPTIONS);
    await clock.until(Promise.all(Array.from({ length: 200 }, (_, i) => redlock.acquire(`k${i}`))));
    await clock.pass(50);
    expect(clock.pending).toBe(1);
  });

  it("off: aborts the signal in time, and says so", async () => {
    const { clock, redlock } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k", { heartbeat: false }));
    const grantedAt = clock.now();
    await clock.pass(700);
    expect(lock.signal.aborted).toBe(false);
    await clock.pass(40);
    expect(lock.signal.aborted).toBe(true);
    expect(clock.now()).toBeLessThan(grantedAt - 2 + 988);
    expect(String(lock.signal.reason)).toContain("its ttl is over and the heartbeat is off");
  });

  it("ends the lock at once when a majority no longer has the key", async () => {
    const { clock, redlock, nodes } = simulate(3, { ...OPTIONS, restartGuard: false });
    const lock = await clock.until(redlock.acquire("k"));
    const lost: unknown[] = [];
    redlock.on("lost", (event) => lost.push(event.error));
    nodes[0]!.master.wipe();
    nodes[1]!.master.wipe();
    await clock.pass(400);
    expect(lock.held).toBe(false);
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(lock.signal.reason).toMatchObject({ reason: "taken" });
    expect(lost).toEqual([lock.signal.reason]);
    // And never revives it.
    expect(nodes[0]!.master.get("redlock:k")).toBeUndefined();
  });

  it("takes a lease back from a master that lost the key", async () => {
    const { clock, redlock, nodes } = simulate(3, { ...OPTIONS, restartGuard: false });
    nodes[2]!.behaviour.refused = true;
    const lock = await clock.until(redlock.acquire("k"));
    const deadline = clock.now() + lock.remaining();
    nodes[0]!.master.wipe();
    nodes[2]!.behaviour.refused = false;
    // Node 3 never had the key, node 1 lost it: a majority against us.
    await clock.pass(400);
    expect(lock.held).toBe(false);
    expect(clock.now()).toBeLessThan(deadline);
  });

  it("stops with the release: no extend follows it", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    await clock.pass(1_000);
    await clock.until(lock.release());
    await clock.pass(5_000);
    for (const { sent } of nodes) expect(sent.at(-1)).toBe("release");
    expect(clock.pending).toBe(0);
  });

  it("does not count a confirmation that comes after the lock has ended", async () => {
    const { clock, redlock, nodes } = simulate(3, { ...OPTIONS, nodeTimeout: 50 });
    const lock = await clock.until(redlock.acquire("k"));
    await clock.pass(300);
    for (const { behaviour } of nodes) behaviour.back = 2_000;
    await clock.pass(10_000);
    expect(lock.held).toBe(false);
    expect(lock.signal.aborted).toBe(true);
  });
});

describe("a blocked event loop", () => {
  it("is noticed by whoever asks first, before any timer", async () => {
    const { clock, redlock } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    clock.block(2_000);
    expect(lock.held).toBe(false);
    expect(lock.remaining()).toBe(0);
    expect(() => lock.assertHeld()).toThrow(LockLostError);
    expect(lock.signal.aborted).toBe(true);
  });

  it("is noticed by the watchdog at its first chance, and the lock is not prolonged", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    clock.block(2_000);
    await clock.pass(1);
    expect(lock.signal.aborted).toBe(true);
    expect(nodes[0]!.sent).not.toContain("extend");
  });
});

describe("a log", () => {
  it("shows the keys of a lock, its token, and how long it is held", async () => {
    const { clock, redlock } = simulate(3, { ttl: 10_000 });
    const lock = await clock.until(redlock.acquire("k"));
    const { fencingToken } = lock;

    const logged = JSON.parse(JSON.stringify(lock)) as object;

    const remaining = expect.any(Number) as number;
    expect(logged).toEqual({ keys: ["k"], fencingToken, held: true, remaining });
    expect(inspect(lock, { breakLength: Infinity })).toContain(
      `keys: [ 'k' ], fencingToken: ${fencingToken}`,
    );
    await clock.until(lock.release());
  });
});

describe("after a loss", () => {
  it("the key stays until the release", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k", { heartbeat: false }));
    await clock.pass(750);
    expect(lock.signal.aborted).toBe(true);
    expect(nodes[0]!.sent).not.toContain("release");
    expect(await clock.until(client().tryAcquire("k"))).toBeNull();
    await clock.until(lock.release());
    expect(await clock.until(client().tryAcquire("k"))).not.toBeNull();
  });

  it("release and extend of the old holder change nothing for the next one", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    const old = await clock.until(redlock.acquire("k", { heartbeat: false }));
    await clock.pass(1_100);
    const next = await clock.until(client().acquire("k"));
    const stored = nodes.map(({ master }) => master.get("redlock:k"));
    await expect(clock.until(old.extend())).rejects.toThrow(LockLostError);
    expect(await clock.until(old.release())).toBe("expired");
    expect(nodes.map(({ master }) => master.get("redlock:k"))).toEqual(stored);
    expect(next.held).toBe(true);
    expect(next.fencingToken).toBeGreaterThan(old.fencingToken);
  });
});

describe("a lock that is lost because nothing could run", () => {
  it("says so, for how long at least, and what to do, whoever notices", async () => {
    for (const notices of ["the watchdog", "assertHeld"]) {
      const { clock, redlock } = simulate(3, OPTIONS);
      const lock = await clock.until(redlock.acquire("k"));
      const lost = new Promise<LockLostError>((resolve) => {
        redlock.once("lost", ({ error }) => resolve(error));
      });
      await clock.pass(100);
      clock.block(3_000);
      if (notices === "assertHeld") expect(() => lock.assertHeld()).toThrow(LockLostError);
      const error = await clock.until(lost);

      expect(error).toMatchObject({ reason: "blocked", votes: [] });
      // Less than three seconds: until the heartbeat was due nothing was missed.
      expect(error.blockedFor).toBeGreaterThan(2_600);
      expect(error.blockedFor).toBeLessThanOrEqual(3_000);
      expect(error.message).toMatch(
        /the event loop was blocked .*for at least 2\d{3} ms, .*use a larger ttl, or .*LockedWorker/,
      );
      await clock.until(redlock.close());
    }
  });

  it("is not said where masters were silent, nor of a lock without a heartbeat", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    const reasons: string[] = [];
    redlock.on("lost", ({ error }) => reasons.push(error.reason));
    await clock.until(redlock.acquire("short", { heartbeat: false }));
    clock.block(2_000);
    await clock.pass(100);
    await clock.until(redlock.acquire("k"));
    for (const { behaviour } of nodes) behaviour.frozen = true;
    await clock.pass(2_000);
    expect(reasons).toEqual(["ended", "expired"]);
  });
});
