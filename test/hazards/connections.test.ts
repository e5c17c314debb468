import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { LockUnavailableError, type Redlock } from "../../src/index.ts";
import { bundled } from "../support/bundle.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { connectRedlock, failureOf, makeProxies, makeRedlock, timed, valuesOf } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const PATIENT = { nodeTimeout: 300, ttl: 5_000 };

function downsOf(redlock: Redlock): string[] {
  const causes: string[] = [];
  redlock.on("node:down", ({ cause }) => causes.push(cause));
  return causes;
}

describe("connections that are all half open", () => {
  const nodes = useRedisNodes(3);

  test("cost the acquisition that meets them one deadline, and no lock", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(
      proxies.map(({ url }) => url),
      PATIENT,
    );
    const downs = downsOf(redlock);
    for (const proxy of proxies) proxy.strand();

    const lock = await redlock.acquire("account");

    expect(lock.held).toBe(true);
    // Two masters are a quorum; the third is left as soon as its new connection serves.
    await waitFor(() => expect(downs).toHaveLength(3));
    expect(await lock.release()).toBe("released");
  });

  test("leave nothing of the round that met them, though the masters executed it", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(
      proxies.map(({ url }) => url),
      PATIENT,
    );
    for (const proxy of proxies) proxy.strand("replies");

    const lock = await redlock.acquire("account");

    const stored = await valuesOf(redisClients(nodes), "account");
    const ours = stored.filter((value) => value?.startsWith(`${lock.fencingToken}:`));
    expect(ours.length).toBeGreaterThanOrEqual(2);
    expect(await lock.release()).toBe("released");
    await waitFor(async () =>
      expect(await valuesOf(redisClients(nodes), "account")).toEqual([null, null, null]),
    );
  });

  test("are an outage where no new ones can be made, after two deadlines", async () => {
    const proxies = await makeProxies(nodes.ports);
    const redlock = await connectRedlock(
      proxies.map(({ url }) => url),
      PATIENT,
    );
    for (const proxy of proxies) proxy.replies.drop();

    const { value, ms } = await timed(() => failureOf(redlock.acquire("account")));

    expect(value).toBeInstanceOf(LockUnavailableError);
    // Not a figure of speed: ten seconds pass until such a connection is given up.
    expect(ms).toBeLessThan(5_000);
  });
});

describe("servers that close idle connections all at once", () => {
  const nodes = useRedisNodes(3);

  test("cost no acquisition", async () => {
    const redlock = await connectRedlock(nodes.urls, PATIENT);
    const clients = redisClients(nodes);
    for (let i = 0; i < 40; i++) {
      await Promise.all(
        clients.map((client) => client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")),
      );
      const lock = await redlock.acquire(`account-${i}`);
      expect(await lock.release()).toBe("released");
    }
  });
});

describe("a burst of calls", () => {
  const nodes = useRedisNodes(3);

  test("of thousands of acquisitions on healthy masters is granted", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 60_000, nodeTimeout: 300 });

    const outcomes = await Promise.allSettled(
      Array.from({ length: 5_000 }, (_, i) => redlock.acquire(`key-${i}`)),
    );

    const reasons = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason] : []));
    expect(reasons.map(String).slice(0, 3)).toEqual([]);
  });

  test("for locks of a hundred keys each is granted", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 20_000, nodeTimeout: 300 });

    const locks = await Promise.all(
      Array.from({ length: 256 }, (_, lock) =>
        redlock.acquire(Array.from({ length: 100 }, (_, index) => `key-${lock}-${index}`)),
      ),
    );

    const outcomes = await Promise.all(locks.map((lock) => lock.release()));
    expect(new Set(outcomes)).toEqual(new Set(["released"]));
  });

  test("of ten thousand that wait for one key all stand in line", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 60_000, nodeTimeout: 1_000 });
    await redlock.acquire("one");
    const reasons: string[] = [];
    for (let i = 0; i < 10_000; i++) {
      redlock
        .acquire("one", { waitTimeout: 120_000 })
        .catch((error: unknown) => reasons.push(String(error)));
    }

    const inLine = async (): Promise<number> => (await redlock.inspect("one")).waiting;
    await expect
      .poll(async () => (await inLine()) + reasons.length, { timeout: 100_000, interval: 500 })
      .toBe(10_000);

    expect(reasons.slice(0, 3)).toEqual([]);
  });
});

describe("names that point elsewhere after a failover", () => {
  const nodes = useRedisNodes(5, { args: ["--repl-diskless-sync-delay", "0"] });

  test("are resolved again: the old masters are left, and said to be replicas", async () => {
    const proxies = await makeProxies(nodes.ports.slice(0, 3));
    const redlock = await connectRedlock(
      proxies.map(({ url }) => url),
      PATIENT,
    );
    const downs = downsOf(redlock);
    const clients = redisClients(nodes);
    for (const [old, successor] of [
      [1, 3],
      [2, 4],
    ] as const) {
      await clients[old]!.replicaof("127.0.0.1", nodes.ports[successor]!);
      onTestFinished(async () => void (await clients[old]!.replicaof("NO", "ONE")));
      proxies[old]!.point(nodes.ports[successor]!);
    }

    const lock = await redlock.acquire("account");

    expect(lock.held).toBe(true);
    const areReplicas = (): string[] => downs.filter((cause) => cause.endsWith("a replica now"));
    await waitFor(() => expect(areReplicas()).toHaveLength(2));
  });
});

describe("close()", () => {
  const nodes = useRedisNodes(3);

  test("is no failure of the masters", async () => {
    const redlock = await connectRedlock(nodes.urls);
    const downs = downsOf(redlock);
    await redlock.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(downs).toEqual([]);
  });

  test("lets the process end although a master hangs", async () => {
    nodes.pause(2);
    const program = join(import.meta.dirname, "programs", "linger.ts");
    const args = [await bundled(program), ...nodes.urls];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    // Not a figure of speed: what holds the process back is a timer of two seconds.
    expect(Number(stdout)).toBeLessThan(1_200);
  });
});

describe("a guard that a master refuses to store", () => {
  const nodes = useRedisNodes(3);

  test("is the reason in the vote of that master", async () => {
    const clients = redisClients(nodes);
    for (const client of clients) {
      await client.config("SET", "maxmemory", "1");
      onTestFinished(async () => void (await client.config("SET", "maxmemory", "0")));
    }
    const redlock = makeRedlock(nodes.urls, { restartGuard: true });

    const error = await failureOf(redlock.acquire("account"));

    expect(error).toBeInstanceOf(LockUnavailableError);
    const causes = (error as LockUnavailableError).votes.map(({ cause }) => cause);
    expect(causes).toEqual(
      Array.from({ length: 3 }, () => expect.stringMatching(/the guard was refused: .*OOM/)),
    );
  });
});
