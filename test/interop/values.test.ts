import { describe, expect, test } from "vitest";
import { LockConflictError, LockUnavailableError } from "../../src/index.ts";
import { failureOf, untilHeldEverywhere } from "../hazards/support.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { connectOurs, expectUntouched, STORED } from "./support.ts";

const nodes = useRedisNodes(3);
const TTL = 800;

const ANY: Record<string, string | Buffer> = {
  "22 letters and digits": "Zk3vQ9aB0cD1eF2gH3iJ4k",
  "32 hexadecimal digits": "9f86d081884c7d659a2feaa0c55ad015",
  "base64 with its signs": "+/8BAgMEBQYHCAkKCwwNDg==",
  "our form": "123:abc:x",
  "our form with a token too long": "12345678901234567890:abc:x",
  "our form with an owner too long": `123:${"a".repeat(65)}:x`,
  "a q in front": "q9f86d081884c7d65",
  "bytes that are no text": Buffer.from([0xff, 0xfe, 0x00, 0x80, 0x3a, 0x0a]),
  "bytes of our form": Buffer.from("123:\u00ff\u0000:x", "latin1"),
  nothing: "",
  "ten thousand characters": "x".repeat(10_000),
};

test("a value of our form that a master accepted in quarantine is no lock, and stays", async () => {
  const redlock = await connectOurs(nodes, { ttl: TTL });
  const clients = redisClients(nodes);
  for (const client of clients) await client.set(STORED, "q123:abc:x");

  await expectUntouched(clients, async () => {
    expect(await failureOf(redlock.acquire("account"))).toBeInstanceOf(LockUnavailableError);
  });
});

describe.each(Object.entries(ANY))("a value of %s", (_, value) => {
  test.each([
    ["with", TTL - 100],
    ["without", undefined],
  ])("%s a ttl is never touched", async (_, ttl) => {
    const redlock = await connectOurs(nodes, { ttl: TTL });
    const clients = redisClients(nodes);
    for (const client of clients) {
      if (ttl === undefined) await client.set(STORED, value);
      else await client.set(STORED, value, "PX", ttl, "NX");
    }

    await expectUntouched(clients, async () => {
      const error = await failureOf(redlock.acquire("account"));
      expect(error).toBeInstanceOf(LockConflictError);
      // Without a ttl nobody knows: as long as a lock of ours would last.
      const { retryAfter } = error as LockConflictError;
      expect(retryAfter).toBeLessThanOrEqual(ttl ?? TTL);
      expect(retryAfter).toBeGreaterThan(ttl === undefined ? TTL - 1 : 0);
      expect(await redlock.tryAcquire(["account", "other"], { waitTimeout: 60 })).toBeNull();
      expect(await redlock.isLocked("other")).toBe(false);
      const { locked, nodes: seen } = await redlock.inspect("account");
      expect(locked).toBe(true);
      for (const { state, expiresIn } of seen) {
        expect(state).toBe("held");
        if (ttl === undefined) expect(expiresIn).toBeUndefined();
        else expect(expiresIn).toBeLessThanOrEqual(ttl);
      }
    });
  });

  test("that replaces ours is left by extend, heartbeat, release and close", async () => {
    const redlock = await connectOurs(nodes, { ttl: TTL, heartbeat: 50 });
    const clients = redisClients(nodes);
    const lock = await redlock.acquire("account");
    const aborted = new Promise((resolve) => lock.signal.addEventListener("abort", resolve));
    await untilHeldEverywhere(clients, lock);
    for (const client of clients) await client.set(STORED, value, "PX", 60_000);

    await expectUntouched(clients, async () => {
      await aborted;
      await failureOf(lock.extend());
      expect(await lock.release()).toBe("expired");
      await redlock.close();
    });
  });
});

describe("a value that lives longer than any lock of ours", () => {
  const foreign = Object.entries(ANY).filter(([name]) => !name.startsWith("our form"));

  test.each(foreign)("keeps its ttl: %s", async (_, value) => {
    const redlock = await connectOurs(nodes, { ttl: TTL });
    const clients = redisClients(nodes);
    for (const client of clients) await client.set(STORED, value, "PX", 100_000, "NX");

    await expectUntouched(clients, async () => {
      const error = await failureOf(redlock.acquire("account"));
      expect(error).toMatchObject({ message: expect.stringContaining("another program") });
      expect((error as LockConflictError).retryAfter).toBeGreaterThan(90_000);
      await redlock.isLocked("account");
    });
  });
});
