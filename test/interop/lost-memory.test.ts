import { describe, expect, test } from "vitest";
import { type LockLostError, LockUnavailableError, type Redlock } from "../../src/index.ts";
import {
  letPass,
  NODE_TIMEOUT,
  TTL,
  untilAborted,
  untilFreeEverywhere,
} from "../hazards/support.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { redsync } from "./dialects.ts";
import { PEERS, speak } from "./peer.ts";
import { connectOurs, expectUntouched, STORED } from "./support.ts";

const nodes = useRedisNodes(3);
const [FIRST, SECOND, THIRD] = [0, 1, 2] as const;

/** A client of ours that has used the masters, so that their guards are set. */
async function knownOurs(options: { maxTtl: number; restartGuard?: false }): Promise<Redlock> {
  const redlock = await connectOurs(nodes, { clockSkewBudget: 0, ...options });
  await redlock.using("another", () => undefined);
  return redlock;
}

/** How long a master without memory gives no vote: see `restartGuard`. */
function quarantineOf(maxTtl: number): number {
  return Math.ceil(maxTtl * 1.02) + NODE_TIMEOUT;
}

/** Whether we are granted the key now; it is given back. Too few votes, or a conflict: it is the same to the other program. */
async function isGranted(redlock: Redlock): Promise<boolean> {
  try {
    const lock = await redlock.tryAcquire("account");
    await lock?.release();
    return lock !== null;
  } catch (error) {
    if (error instanceof LockUnavailableError) return false;
    throw error;
  }
}

/** Another program holds the key on the first two masters, the third was out of its reach; then the first forgets. */
async function forgetTheirs(ttl: number): Promise<{ until: number }> {
  const clients = redisClients(nodes);
  const startedAt = performance.now();
  const theirs = await speak(redsync, clients.slice(FIRST, THIRD)).tryLock([STORED], ttl);
  expect(theirs).toBeDefined();
  await nodes.restart(FIRST, { empty: true });
  return { until: startedAt + ttl };
}

describe("a master that restarts empty under the lock of another program", () => {
  test("gives us no vote while that lock lives, when it is no longer than our longest", async () => {
    const maxTtl = 3_000;
    const redlock = await knownOurs({ maxTtl });
    const { until } = await forgetTheirs(2_000);

    while (performance.now() < until) {
      const granted = await isGranted(redlock);
      if (performance.now() < until) expect(granted).toBe(false);
      await letPass(10);
    }

    await expect
      .poll(async () => await isGranted(redlock), { timeout: quarantineOf(maxTtl) + 5_000 })
      .toBe(true);
  });

  test("makes us a second holder when we have no guard", async () => {
    const redlock = await knownOurs({ maxTtl: 3_000, restartGuard: false });
    const { until } = await forgetTheirs(20_000);

    await expect.poll(async () => await isGranted(redlock)).toBe(true);
    expect(performance.now()).toBeLessThan(until);
  });

  test("makes us a second holder after the quarantine when that lock outlives maxTtl", async () => {
    const redlock = await knownOurs({ maxTtl: TTL });
    const { until } = await forgetTheirs(25_000);
    const forgottenAt = performance.now();

    await expect.poll(async () => await isGranted(redlock), { timeout: 15_000 }).toBe(true);

    expect(performance.now() - forgottenAt).toBeGreaterThan(quarantineOf(TTL) - 10);
    expect(performance.now()).toBeLessThan(until);
    // Where it was not forgotten, theirs is left as it is.
    expect(await redisClients(nodes)[SECOND]!.get(STORED)).not.toMatch(/^q?\d+:/);
  });
});

test("a master that restarts empty votes for a second one of them, as without us", async () => {
  await knownOurs({ maxTtl: 6_000 });
  await forgetTheirs(20_000);

  expect(await speak(redsync, redisClients(nodes)).tryLock([STORED], 5_000)).toBeDefined();
});

describe("a master that restarts empty under our lock", () => {
  test.each(Object.entries(PEERS))(
    "gives its vote to %s at once; our lock is lost, and theirs untouched",
    async (_, makePeer) => {
      const redlock = await knownOurs({ maxTtl: 6_000 });
      await nodes.kill(THIRD);
      const ours = await redlock.acquire("account", { ttl: 3_000, heartbeat: 200 });
      await nodes.restart(THIRD, { empty: true });
      await nodes.restart(FIRST, { empty: true });
      const clients = redisClients(nodes);

      const theirs = await makePeer(clients).tryLock([STORED], 60_000);

      expect(theirs).toBeDefined();
      await expectUntouched([clients[FIRST]!, clients[THIRD]!], async () => {
        expect(((await untilAborted(ours)) as LockLostError).code).toBe("ERR_REDLOCK_LOST");
        expect(await ours.release()).toBe("expired");
      });
      expect(await theirs?.release()).toBe(true);
    },
  );
});

test("a key that we hold on a quarantined master is taken for others too", async () => {
  const redlock = await knownOurs({ maxTtl: 6_000 });
  const [first] = redisClients(nodes);
  await nodes.restart(FIRST, { empty: true });
  await expect
    .poll(async () => {
      const lock = await redlock.tryAcquire("account");
      const stored = await first!.get(STORED);
      if (stored === null) await lock?.release();
      return stored;
    })
    .toMatch(/^q\d+:/);

  expect(await speak(redsync, [first!]).tryLock([STORED], 1_000)).toBeUndefined();
});

test("our fencing tokens grow over the locks of others, who have none", async () => {
  const redlock = await connectOurs(nodes);
  const clients = redisClients(nodes);
  let last = 0;

  for (const makePeer of Object.values(PEERS)) {
    const { fencingToken } = await redlock.using("account", (lock) => lock);
    expect(fencingToken).toBeGreaterThan(last);
    last = fencingToken;
    await untilFreeEverywhere(clients, "account");
    const theirs = await makePeer(clients).tryLock([STORED], 60_000);
    expect(await theirs?.release()).toBe(true);
  }
});
