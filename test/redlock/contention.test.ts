import { engineOf } from "../../src/redlock/redlock.ts";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { LockConflictError, RedlockClosedError } from "../../src/errors.ts";
import { positionOf } from "../../src/waiters/waiter.ts";
import type { Lock } from "../../src/lock/lock.ts";
import { seededRandom, simulate } from "../support/simulated-redlock.ts";

const OPTIONS = { ttl: 2_000, nodeTimeout: 100 };

describe("ten contenders for one free key", () => {
  it("have one winner in each of 300 races, and no conflict without a holder", async () => {
    const { clock, nodes, client } = simulate(3, OPTIONS);
    const chance = seededRandom(7);
    const contenders = Array.from({ length: 10 }, client);
    for (const { behaviour } of nodes) {
      Object.defineProperty(behaviour, "there", { get: () => 1 + 3 * chance.fraction() });
    }
    let splits = 0;
    for (let race = 0; race < 300; race++) {
      const key = `race-${race}`;
      let held = false;
      const enter = async (redlock: (typeof contenders)[number]): Promise<Lock | null> => {
        try {
          const lock = await redlock.acquire(key);
          held = true;
          return lock;
        } catch (error) {
          expect(error).toBeInstanceOf(LockConflictError);
          const { holder } = error as LockConflictError;
          expect(holder).toBeDefined();
          // The winner's quorum is on the masters, though its answers may still be on their way.
          const owners = nodes.map(({ master }) => master.get(`redlock:${key}`)?.split(":")[1]);
          expect(owners.filter((owner) => owner === medianOf(owners)).length).toBeGreaterThan(1);
          return null;
        }
      };
      const before = nodes[0]!.sent.length;
      const results = await clock.until(Promise.all(contenders.map(enter)));
      const winners = results.filter((lock) => lock !== null);
      expect(winners).toHaveLength(1);
      expect(held).toBe(true);
      if (nodes[0]!.sent.length - before > 2 * contenders.length) splits += 1;
      await clock.until(winners[0]!.release());
    }
    // The races must have been real ones.
    expect(splits).toBeGreaterThan(100);
  });

  it("one after the other get strictly growing tokens, whatever their clocks say", async () => {
    const { clock, client } = simulate(3, OPTIONS);
    const chance = seededRandom(3);
    const contenders = Array.from({ length: 10 }, client);
    const tokens: number[] = [];
    await clock.until(
      Promise.all(
        contenders.map(async (redlock) => {
          for (let i = 0; i < 10; i++) {
            clock.stepWall((chance.fraction() - 0.5) * 3_600_000);
            const lock = await redlock.acquire("k", { waitTimeout: 1_000_000 });
            tokens.push(lock.fencingToken);
            await lock.release();
          }
        }),
      ),
    );
    expect(tokens).toHaveLength(100);
    expect(tokens).toEqual([...new Set(tokens)].toSorted((a, b) => a - b));
  });
});

describe("attempts of one process that meet those of others", () => {
  it("send one of them to settle a split: the key is not left free for long", async () => {
    const { clock, nodes, client } = simulate(3, OPTIONS);
    const chance = seededRandom(5);
    const processes = Array.from({ length: 4 }, client);
    for (const { behaviour } of nodes) {
      Object.defineProperty(behaviour, "there", { get: () => 1 + 3 * chance.fraction() });
    }
    const took: number[] = [];
    for (let race = 0; race < 100; race++) {
      const start = clock.now();
      const attempts = processes.flatMap((redlock) =>
        Array.from({ length: 10 }, () => redlock.tryAcquire(`race-${race}`)),
      );
      const first = Promise.any(
        attempts.map(async (attempt) => (await attempt) ?? Promise.reject(new Error("lost"))),
      );
      await clock.until(first);
      took.push(clock.now() - start);
      const locks = (await clock.until(Promise.all(attempts))).filter((lock) => lock !== null);
      expect(locks).toHaveLength(1);
      await clock.until(locks[0]!.release());
    }
    took.sort((a, b) => a - b);
    // Of all forty on their own the slowest ten races take 29 to 56 ms.
    expect(took.at(-10)).toBeLessThan(20);
    expect(took.at(-1)).toBeLessThan(25);
  });
});

describe("an attempt that is refused", () => {
  it("has nothing to give back", async () => {
    const { clock, nodes, redlock, client } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("k"));
    expect(await clock.until(client().tryAcquire("k"))).toBeNull();
    await clock.pass(1_000);
    expect(nodes.flatMap(({ sent }) => sent)).not.toContain("release");
  });

  it("gives back what a master grants it when all is decided", async () => {
    const { clock, nodes, redlock, client } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("k"));
    const slow = nodes[2]!;
    slow.master.delete("redlock:k");
    slow.behaviour.there = 50;
    expect(await clock.until(client().tryAcquire("k"))).toBeNull();
    await clock.pass(55);
    expect(slow.master.get("redlock:k")).toBeDefined();
    await clock.pass(60);
    expect(slow.master.get("redlock:k")).toBeUndefined();
  });

  it("gives back what a master may have granted that did not answer in time", async () => {
    const { clock, nodes, redlock, client } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("k"));
    const slow = nodes[2]!;
    slow.master.delete("redlock:k");
    slow.behaviour.frozen = true;
    expect(await clock.until(client().tryAcquire("k"))).toBeNull();
    await clock.pass(OPTIONS.nodeTimeout + 10);
    slow.thaw();
    await clock.pass(10);
    expect(slow.sent).toContain("release");
    expect(slow.master.get("redlock:k")).toBeUndefined();
  });
});

describe("waiting", () => {
  it("ends with the release, by message, long before the next look", async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    const waiting = client().acquire("k", { waitTimeout: 60_000 });
    await clock.pass(20_000);
    const releasedAt = clock.now();
    void lock.release();
    const next = await clock.until(waiting);
    expect(clock.now() - releasedAt).toBeLessThan(10);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
  });

  it("of the next in the same process ends with the round trip of the release", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    for (const { behaviour } of nodes) Object.assign(behaviour, { there: 5, back: 5 });
    const first = await clock.until(redlock.acquire("k"));
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (number) => {
      const lock = await redlock.acquire("k", { waitTimeout: 60_000 });
      order.push(number);
      return lock;
    });
    await clock.pass(100);
    void first.release();
    const second = await clock.until(waiting[0]!);
    // Its release has said who comes next, so that this one asks at once.
    let releasedAt = clock.now();
    void second.release();
    const third = await clock.until(waiting[1]!);
    expect(clock.now() - releasedAt).toBe(10);
    releasedAt = clock.now();
    void third.release();
    await clock.until(waiting[2]!);
    expect(clock.now() - releasedAt).toBe(10);
    expect(order).toEqual([1, 2, 3]);
  });

  it("finds a free key without any message", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k", { heartbeat: false }));
    const waiting = client().acquire("k", { waitTimeout: 60_000 });
    await clock.pass(100);
    for (const { master } of nodes) master.delete("redlock:k");
    const next = await clock.until(waiting);
    expect(lock.held).toBe(true);
    expect(next.held).toBe(true);
    expect(nodes[0]!.sent.length).toBeLessThan(20);
  });

  it("ends after waitTimeout with the conflict", async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("k", { holder: "job 7" }));
    const start = clock.now();
    const waiting = client().acquire("k", { waitTimeout: 5_000 });
    await expect(clock.until(waiting)).rejects.toThrow(/"k" is held by job 7/);
    expect(clock.now() - start).toBeGreaterThanOrEqual(5_000);
    expect(clock.now() - start).toBeLessThan(5_000 + 100);
  });

  it("ends with the signal's own reason, and holds nothing", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    const controller = new AbortController();
    const waiting = client().acquire("k", { waitTimeout: 60_000, signal: controller.signal });
    await clock.pass(1_000);
    const reason = new Error("changed my mind");
    controller.abort(reason);
    await expect(clock.until(waiting)).rejects.toBe(reason);
    await clock.until(lock.release());
    await clock.pass(100);
    expect(nodes.map(({ master }) => master.get("redlock:k"))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  it("gives back what was granted while the signal aborted", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    const controller = new AbortController();
    const acquiring = redlock.acquire("k", { signal: controller.signal });
    await clock.pass(1.5);
    controller.abort(new Error("too late"));
    await expect(clock.until(acquiring)).rejects.toThrow("too late");
    await clock.pass(100);
    for (const { master } of nodes) expect(master.get("redlock:k")).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  it("asks at most about once a second while nothing happens", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("k"));
    const before = nodes[0]!.sent.length;
    client()
      .acquire("k", { waitTimeout: 100_000 })
      .catch(() => {});
    await clock.pass(60_000);
    const asked = nodes[0]!.sent.slice(before).filter((name) => name === "acquire").length;
    expect(asked).toBeLessThan(90);
  });
});

describe("several keys", () => {
  it("are held together or not at all", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    const both = await clock.until(redlock.acquire(["b", "a", "b"]));
    expect(both.keys).toEqual(["a", "b"]);
    const attempt = client().acquire(["b", "c"]);
    await expect(clock.until(attempt)).rejects.toMatchObject({ key: "b", keys: ["b", "c"] });
    await clock.pass(10);
    for (const { master } of nodes) expect(master.get("redlock:c")).toBeUndefined();
    expect(await clock.until(both.release())).toBe("released");
  });

  it("asked for in opposite orders do not deadlock", async () => {
    const { clock, client } = simulate(3, OPTIONS);
    const [one, two] = [client(), client()];
    let running = 0;
    const work = async (redlock: typeof one, keys: string[]): Promise<void> => {
      for (let i = 0; i < 20; i++) {
        await redlock.using(keys, { waitTimeout: 600_000 }, async () => {
          running += 1;
          expect(running).toBe(1);
          await Promise.resolve();
          running -= 1;
        });
      }
    };
    await clock.until(Promise.all([work(one, ["a", "b"]), work(two, ["b", "a"])]));
  });
});

describe("close", () => {
  it("ends waiting, aborts and releases what is held, and is idempotent", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    await clock.until(client().acquire("theirs"));
    const mine = await clock.until(redlock.acquire("mine"));
    const waiting = redlock.acquire("theirs", { waitTimeout: 60_000 });
    const ended = expect(waiting).rejects.toThrow(RedlockClosedError);
    await clock.pass(100);
    await clock.until(Promise.all([redlock.close(), redlock.close()]));
    await ended;
    expect(mine.signal.aborted).toBe(true);
    expect(mine.held).toBe(false);
    for (const { master } of nodes) expect(master.get("redlock:mine")).toBeUndefined();
    await expect(redlock.acquire("k")).rejects.toThrow(RedlockClosedError);
    await expect(redlock.isLocked("k")).rejects.toThrow(RedlockClosedError);
  });

  it("leaves nothing behind of a join that is under way", async () => {
    const { clock, nodes, redlock, client } = simulate(3, OPTIONS);
    await clock.until(client().acquire("k", { heartbeat: false }));
    await clock.pass(OPTIONS.nodeTimeout);
    const holders = clock.pending;
    const joins = ["1", "2"].map((id) => {
      const waiter = { position: positionOf(0, "q", id), priority: 0, queueId: "q", run: 1 };
      const how = { state: "parked", tries: 0, heldBackFor: OPTIONS.ttl } as const;
      return engineOf(redlock).waitLists.join({ ...waiter, replaceable: false }, ["k"], how);
    });
    await clock.until(redlock.close());
    await clock.until(Promise.all(joins));
    expect(nodes[0]!.sent.filter((name) => name === "join")).toHaveLength(2);
    await clock.pass(OPTIONS.nodeTimeout);
    expect(clock.pending).toBe(holders);
    expect(nodes[0]!.sent).not.toContain("serve");
  });

  it("waits for the routine of using before it gives up its key", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    const work = new AbortController();
    const routine = redlock.using("k", async (lock) => {
      await once(work.signal, "abort");
      expect(lock.signal.aborted).toBe(true);
    });
    const ended = expect(routine).rejects.toThrow(/the Redlock was closed/);
    await clock.pass(100);
    const closing = redlock.close();
    await clock.pass(100);
    expect(nodes[0]!.master.get("redlock:k")).toBeDefined();
    work.abort();
    await clock.until(closing);
    await ended;
    expect(nodes[0]!.master.get("redlock:k")).toBeUndefined();
  });
});

/** Of three, the one that has a majority if any has. */
function medianOf(owners: readonly (string | undefined)[]): string | undefined {
  return owners.map(String).sort((a, b) => a.localeCompare(b))[1];
}
