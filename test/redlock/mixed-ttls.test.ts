import { afterEach, describe, expect, it } from "vitest";
import { LockUnavailableError } from "../../src/errors.ts";
import type { Lock } from "../../src/lock/lock.ts";
import type { RedlockOptions } from "../../src/redlock/options.ts";
import { Redlock } from "../../src/redlock/redlock.ts";
import { useRedisNodes } from "../support/redis.ts";
import { waitFor } from "../support/wait-for.ts";

const SHORT = 1_000;
const LONG = 60_000;
/** For the short ttl: 1000 * 1.02 + 200 + 0. */
const QUARANTINE = 1_220;

const nodes = useRedisNodes(3);

const opened: Redlock[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map(async (redlock) => await redlock.close()));
});

function connect(ttl: number, restartGuard: RedlockOptions["restartGuard"] = true): Redlock {
  const options = { nodes: nodes.urls, ttl, nodeTimeout: 200, clockSkewBudget: 0, restartGuard };
  const redlock = new Redlock(options);
  opened.push(redlock.on("warning", () => {}));
  return redlock;
}

/** A client with short locks has used all masters, long ago. */
async function used(): Promise<void> {
  await connect(SHORT, "trust-new").using("first use", () => {});
}

/** Asks until the lock is granted; `undefined` when it is not while the quarantine of a short lock passes. */
async function grantedSoon(redlock: Redlock): Promise<Lock | undefined> {
  const end = performance.now() + 3 * QUARANTINE;
  while (performance.now() < end) {
    const lock = await redlock.acquire("k", { heartbeat: false }).catch(() => undefined);
    if (lock !== undefined) return lock;
  }
  return undefined;
}

describe("a client with shorter locks, when all masters that answer have lost their memory", () => {
  it("makes no second holder of a key, though a master missed the longer lock", async () => {
    await used();
    await nodes.kill(2);
    const long = await grantedSoon(connect(LONG));
    await nodes.restart(2, { empty: true });
    nodes.pause(0);
    await nodes.restart(1, { empty: true });
    const second = await grantedSoon(connect(SHORT));
    expect(long?.held === true && second !== undefined).toBe(false);
  });

  it("makes no second holder of a key that all masters have locked for longer", async () => {
    await used();
    const long = connect(LONG);
    await long.using("tells all masters", () => {});
    await nodes.kill(2);
    const lock = await long.acquire("k", { heartbeat: false });
    await nodes.restart(2, { empty: true });
    nodes.pause(0);
    await nodes.restart(1, { empty: true });
    expect(await grantedSoon(connect(SHORT))).toBeUndefined();
    expect(lock.held).toBe(true);
  });

  it("goes on as soon as the silent one tells that it knows of no longer lock", async () => {
    await used();
    nodes.pause(0);
    await nodes.restart(1, { empty: true });
    await nodes.restart(2, { empty: true });
    const short = connect(SHORT);
    expect(await grantedSoon(short)).toBeUndefined();
    await expect(short.acquire("k")).rejects.toThrow(LockUnavailableError);
    nodes.resume(0);
    await waitFor(async () => await short.using("k", () => {}), {
      timeout: 4 * QUARANTINE,
      interval: 50,
    });
  });
});
