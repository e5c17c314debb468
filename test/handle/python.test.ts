import { RedlockOn } from "../../src/redlock/redlock.ts";
import { RedlockHandle } from "../../src/handle/handle.ts";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { LockConflictError, LockUnavailableError, RedlockError } from "../../src/errors.ts";
import { Redlock } from "../../src/redlock/redlock.ts";
import { untilFreeEverywhere } from "../hazards/support.ts";
import { redisClient, redisClients, useRedisNodes } from "../support/redis.ts";
import { simulate } from "../support/simulated-redlock.ts";

const OPTIONS = { ttl: 1_000, nodeTimeout: 50 };
const servers = useRedisNodes(3);

// Each test is named as its row in docs/from-redlock-py.md.
const rows: Record<string, () => Promise<void>> = {
  "a named lock": async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    expect(await clock.until(new RedlockHandle(redlock, "distributed_lock").acquire())).toBe(true);
    expect(await clock.until(new RedlockHandle(client(), "distributed_lock").acquire())).toBe(
      false,
    );
    expect(await clock.until(new RedlockHandle(client(), "another_lock").acquire())).toBe(true);
  },
  "the default node": async () => {
    const { nodes } = simulate(1);
    expect(nodes).toHaveLength(1);
    const names: string[] = [];
    const redlock = new RedlockOn(undefined, {
      clock: simulate(1).clock,
      random: { fraction: () => 0, owner: () => "x" },
      connect: ({ endpoint }) => {
        names.push(endpoint.name);
        return nodes[0]!;
      },
    }).on("warning", () => {});
    expect(names).toEqual(["127.0.0.1:6379"]);
    await redlock.close();
  },
  "nodes by host and port": async () => {
    const nodes = servers.ports.map((port) => ({ host: "127.0.0.1", port, db: 0 }));
    await worksWith(nodes);
  },
  "nodes by URL": async () => {
    await worksWith(servers.urls.map((url) => `${url}/0`));
    await worksWith(servers.urls.map((url) => ({ url })));
  },
  "nodes by client object": async () => {
    const clients = servers.urls.map((url) => redisClient(url));
    await worksWith(clients);
    // Ours are duplicates: the user's clients go on.
    for (const client of clients) expect(await client.ping()).toBe("PONG");
  },
  "several nodes": async () => {
    await worksWith([...servers.urls]);
    await untilFreeEverywhere(redisClients(servers), "k");
    await servers.kill(1);
    await worksWith([...servers.urls]);
  },
  "a factory that reuses clients": async () => {
    const client = redisClient(servers.urls[0] ?? "");
    const connections = async (): Promise<string[]> =>
      String(await client.client("LIST"))
        .trim()
        .split("\n");
    // Those of the rows before may still be closing.
    await expect.poll(connections).toHaveLength(1);
    const redlock = new Redlock({ nodes: [...servers.urls], restartGuard: "trust-new" });
    const locks = Array.from({ length: 20 }, (_, i) => new RedlockHandle(redlock, `lock-${i}`));
    for (const lock of locks) expect(await lock.acquire()).toBe(true);
    // One of ours and the one that asks.
    expect(await connections()).toHaveLength(2);
    await redlock.close();
  },
  acquire: async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    const lock = new RedlockHandle(redlock, "k");
    expect(await clock.until(lock.acquire())).toBe(true);
    expect(lock.lock?.held).toBe(true);
    // Unlike Python's, a second acquire of one object does not forget the first.
    expect(await clock.until(lock.acquire())).toBe(false);
    expect(await clock.until(lock.release())).toBe(true);
    expect(await clock.until(new RedlockHandle(client(), "k").acquire())).toBe(true);
  },
  acquire_with_validity: async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    const got = await clock.until(new RedlockHandle(redlock, "k").acquireWithValidity());
    expect(got.acquired).toBe(true);
    expect(got.validity).toBeGreaterThan(0);
    expect(got.validity).toBeLessThan(1_000 - 12);
    expect(await clock.until(new RedlockHandle(client(), "k").acquireWithValidity())).toEqual({
      acquired: false,
      validity: 0,
    });
  },
  locked: async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    const lock = new RedlockHandle(redlock, "k");
    expect(await clock.until(lock.locked())).toBe(false);
    await clock.until(lock.acquire());
    expect(await clock.until(new RedlockHandle(client(), "k").locked())).toBe(true);
    await clock.until(lock.release());
    await clock.pass(10);
    expect(await clock.until(lock.locked())).toBe(false);
  },
  release: async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    const lock = new RedlockHandle(redlock, "k");
    expect(await lock.release()).toBe(false);
    await clock.until(lock.acquire());
    expect(await clock.until(lock.release())).toBe(true);
    expect(await clock.until(lock.release())).toBe(false);
    await clock.pass(10);
    for (const { master } of nodes) expect(master.get("redlock:k")).toBeUndefined();
  },
  "the context manager": async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    const value = await clock.until(
      new RedlockHandle(redlock, "k").using(async (lock) => {
        expect(lock.held).toBe(true);
        await expect(client().using("k", () => "never")).rejects.toThrow(LockConflictError);
        return "done";
      }),
    );
    expect(value).toBe("done");
    expect(await clock.until(redlock.isLocked("k"))).toBe(false);
    await clock.until(disposing());

    async function disposing(): Promise<void> {
      {
        await using lock = await redlock.acquire("k");
        expect(lock.held).toBe(true);
        await using handle = new RedlockHandle(redlock, "other");
        await handle.acquire();
      }
      expect(await redlock.isLocked("k")).toBe(false);
      expect(await redlock.isLocked("other")).toBe(false);
    }
  },
  RedLockError: async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("k"));
    const attempt = new RedlockHandle(client(), "k").using(() => "never");
    await expect(clock.until(attempt)).rejects.toThrow(RedlockError);
  },
  "the re-entrant lock": async () => {
    const { clock, redlock, client } = simulate(3, OPTIONS);
    const lock = new RedlockHandle(redlock, "k", { reentrant: true });
    expect(await clock.until(lock.acquire())).toBe(true);
    expect(await clock.until(lock.acquire())).toBe(true);
    // Another object for the same key belongs to the same holder.
    expect(await clock.until(new RedlockHandle(redlock, "k", { reentrant: true }).acquire())).toBe(
      true,
    );
    expect(await clock.until(lock.release())).toBe(true);
    expect(await clock.until(lock.release())).toBe(true);
    expect(await clock.until(client().isLocked("k"))).toBe(true);
    expect(await clock.until(lock.release())).toBe(true);
    expect(await clock.until(client().isLocked("k"))).toBe(false);
    expect(await clock.until(lock.release())).toBe(false);
  },
  "retry settings": async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("k"));
    const before = nodes[0]!.sent.length;
    const start = clock.now();
    const lock = new RedlockHandle(client(), "k", { retryTimes: 5, retryDelay: 100 });
    expect(await clock.until(lock.acquire())).toBe(false);
    const tries = nodes[0]!.sent.slice(before).filter((name) => name === "acquire");
    expect(tries).toHaveLength(5);
    expect(clock.now() - start).toBeLessThan(4 * 100 + 5 * 4);
    // Patience pays when the key becomes free.
    await clock.until(redlock.close());
    expect(await clock.until(lock.acquire())).toBe(true);
  },
  ttl: async () => {
    const { clock, redlock, nodes } = simulate(3, { ...OPTIONS, maxTtl: 60_000 });
    await clock.until(new RedlockHandle(redlock, "k", { ttl: 60_000, heartbeat: false }).acquire());
    await clock.pass(59_000);
    expect(nodes[0]!.master.get("redlock:k")).toBeDefined();
    await clock.pass(1_100);
    expect(nodes[0]!.master.get("redlock:k")).toBeUndefined();
  },
};

async function worksWith(
  nodes: ConstructorParameters<typeof Redlock>[0] extends infer O
    ? NonNullable<O> extends { nodes?: infer N }
      ? NonNullable<N>
      : never
    : never,
): Promise<void> {
  const redlock = new Redlock({ nodes, restartGuard: "trust-new" });
  const other = new Redlock({ nodes: [...servers.urls], restartGuard: "trust-new" });
  const lock = new RedlockHandle(redlock, "k");
  expect(await lock.acquire()).toBe(true);
  expect(await other.isLocked("k")).toBe(true);
  await lock.release();
  expect(await other.isLocked("k")).toBe(false);
  await Promise.all([redlock.close(), other.close()]);
}

describe("what Python's redlock offers", () => {
  it.each(Object.keys(rows))("%s", async (row) => {
    await rows[row]?.();
  });

  it("has a row in docs/from-redlock-py.md for each of these tests, and no other", () => {
    const page = readFileSync(new URL("../../docs/from-redlock-py.md", import.meta.url), "utf8");
    const documented = [...page.matchAll(/^\| \*\*(.+?)\*\* +\|/gm)].map(([, name]) => name);
    expect(documented).toEqual(Object.keys(rows));
  });
});

describe("a re-entrant handle", () => {
  it("lets in what the holder started, and nobody else", async () => {
    const { clock, redlock } = simulate(3, OPTIONS);
    const handle = new RedlockHandle(redlock, "k", { reentrant: true, retryTimes: 1 });
    let inside = 0;
    let refused = 0;
    const flow = async (): Promise<void> => {
      if (!(await handle.acquire())) {
        refused += 1;
        return;
      }
      inside += 1;
      expect(inside).toBe(1);
      await nested();
      inside -= 1;
      await handle.release();
    };
    const nested = async (): Promise<void> => {
      expect(await handle.acquire()).toBe(true);
      await handle.release();
    };
    await clock.until(Promise.all([flow(), flow(), flow()]));
    expect(refused).toBe(2);
    // What was started after a release does not belong to the holder of then.
    await clock.until(flow().then(() => Promise.all([flow(), flow()])));
    expect(refused).toBe(3);
  });

  it("does not pretend to hold a key that was lost", async () => {
    const { clock, redlock } = simulate(3, OPTIONS);
    const handle = new RedlockHandle(redlock, "k", { reentrant: true, heartbeat: false });
    await clock.until(handle.acquire());
    await clock.pass(800);
    await expect(handle.acquire()).rejects.toThrow(/was lost/);
    expect(await clock.until(handle.release())).toBe(false);
    expect(await clock.until(handle.acquire())).toBe(true);
  });

  it("still throws when the masters are out of reach", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    for (const { behaviour } of nodes) behaviour.refused = true;
    const handle = new RedlockHandle(redlock, "k", { reentrant: true, retryTimes: 2 });
    await expect(clock.until(handle.acquire())).rejects.toThrow(LockUnavailableError);
  });

  it.each([
    [{ retryTimes: 0 }, /^retryTimes: found 0, expected tries from 1/],
    [{ retryDelay: -1 }, /^retryDelay: found -1/],
    [{ reentrant: 1 }, /^reentrant: found 1/],
    [{ retryTime: 1 }, /^retryTime: found an unknown option, expected "retryTimes"\?/],
  ])("refuses %o", (options, message) => {
    const { redlock } = simulate(3, OPTIONS);
    expect(() => new RedlockHandle(redlock, "k", options as object)).toThrow(message);
  });
});
