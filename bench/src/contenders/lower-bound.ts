import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { HEARTBEAT, HELD_TTL, type LockClient, PAIR_TTL, WAIT_TIMEOUT } from "../contender.ts";

/** A waiter looks again after so many ms, at least and at most. */
const SHORTEST_POLL = 10;
const LONGEST_POLL = 30;

const DELETE =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
const EXTEND =
  "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0";

/** Somebody else has the key. */
export class TakenError extends Error {}

/** An ioredis client with the scripts of the lower bound. */
interface Master extends Redis {
  deleteOwn(key: string, value: string): Promise<number>;
  extendOwn(key: string, value: string, ttl: number): Promise<number>;
}

/**
 * The least that a Redlock can do, by hand: `SET NX PX` and compare-and-delete on all masters at once, resolved on a
 * quorum; what a lost attempt has taken is given back. No validity, no deadline, no fencing token, no guard.
 */
export function openLowerBound(urls: readonly string[], enableAutoPipelining: boolean): LockClient {
  const masters = urls.map((url) => connect(url, enableAutoPipelining));

  const take = (key: string, value: string, ttl: number): Promise<boolean> =>
    onQuorum(
      masters.map((master) => master.set(key, value, "PX", ttl, "NX")),
      "OK",
    );
  const give = (key: string, value: string): Promise<boolean> =>
    onQuorum(
      masters.map((master) => master.deleteOwn(key, value)),
      1,
    );
  const extend = (key: string, value: string): Promise<boolean> =>
    onQuorum(
      masters.map((master) => master.extendOwn(key, value, HELD_TTL)),
      1,
    );

  return {
    async acquire(key) {
      const value = randomUUID();
      if (await take(key, value, PAIR_TTL)) return () => give(key, value);
      await give(key, value);
      throw new TakenError(`${key} is taken`);
    },
    async waitFor(key) {
      const until = performance.now() + WAIT_TIMEOUT;
      while (performance.now() < until) {
        const value = randomUUID();
        if (await take(key, value, PAIR_TTL)) return () => give(key, value);
        await give(key, value);
        await delay(SHORTEST_POLL + Math.random() * (LONGEST_POLL - SHORTEST_POLL));
      }
      throw new Error(`${key} was taken for ${WAIT_TIMEOUT} ms`);
    },
    async hold(key) {
      const value = randomUUID();
      if (!(await take(key, value, HELD_TTL))) throw new Error(`${key} is taken`);
      const hold = {
        lost: false,
        release: () => {
          clearInterval(timer);
          return give(key, value);
        },
      };
      const beat = async (): Promise<void> => {
        if (!(await extend(key, value))) hold.lost = true;
      };
      const timer = setInterval(() => void beat(), HEARTBEAT);
      return hold;
    },
    storedName: (key) => key,
    async close() {
      for (const master of masters) master.disconnect();
    },
  };
}

function connect(url: string, enableAutoPipelining: boolean): Master {
  const client = new Redis(url, { enableAutoPipelining });
  // Masters are frozen and killed in some scenarios; the calls themselves tell.
  client.on("error", () => {});
  client.defineCommand("deleteOwn", { numberOfKeys: 1, lua: DELETE });
  client.defineCommand("extendOwn", { numberOfKeys: 1, lua: EXTEND });
  return client as Master;
}

/** True when more than half of the masters say `yes`, false when they can not any more. */
function onQuorum(answers: readonly Promise<unknown>[], yes: unknown): Promise<boolean> {
  const quorum = Math.floor(answers.length / 2) + 1;
  return new Promise((resolve) => {
    let agreed = 0;
    let refused = 0;
    const refuse = (): void => {
      refused += 1;
      if (refused > answers.length - quorum) resolve(false);
    };
    const count = (answer: unknown): void => {
      if (answer !== yes) return refuse();
      agreed += 1;
      if (agreed === quorum) resolve(true);
    };
    for (const answer of answers) answer.then(count, refuse);
  });
}
