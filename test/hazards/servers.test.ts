import { Redis } from "ioredis";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  LockConfigError,
  LockConflictError,
  LockUnavailableError,
  Redlock,
  type RedlockOptions,
  type RedlockWarning,
} from "../../src/index.ts";
import { redisClient, redisClients, useRedisNodes } from "../support/redis.ts";
import type { RedisNodes } from "../../src/testing/index.ts";
import {
  connectRedlock,
  failureOf,
  makeProxies,
  makeRedlock,
  untilAborted,
  untilAllAnswer,
  untilFreeEverywhere,
  untilHeldEverywhere,
  valuesOf,
} from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

/** Sets a server's configuration until the test ends. */
async function configure(
  nodes: RedisNodes,
  index: number,
  name: string,
  value: string,
): Promise<void> {
  const client = redisClient(nodes.urls[index]!);
  const [, before = ""] = await client.config("GET", name);
  await client.config("SET", name, value);
  onTestFinished(async () => {
    const again = new Redis(nodes.urls[index]!);
    again.on("error", () => undefined);
    await again.config("SET", name, before);
    again.disconnect();
  });
}

/** Turns a node into a replica until it is restarted. */
async function makeReplica(nodes: RedisNodes, index: number, of: number): Promise<void> {
  const client = redisClient(nodes.urls[index]!);
  await client.replicaof("127.0.0.1", nodes.ports[of]!);
  await waitFor(async () => expect(await client.info("replication")).toContain("link_status:up"), {
    timeout: 10_000,
  });
  onTestFinished(() => nodes.restart(index, { empty: true }));
}

/** A vote of a master that refuses the credentials. */
function refusedWith(code: string): object {
  const cause = `^${code} .*[^.]; check the user name and the password of the master$`;
  return { vote: "refused", cause: expect.stringMatching(new RegExp(cause)) as string };
}

function causesOf(error: unknown): (string | undefined)[] {
  expect(error).toBeInstanceOf(LockUnavailableError);
  return (error as LockUnavailableError).votes.map(({ cause }) => cause);
}

describe("one server listed twice (R13, S8)", () => {
  const nodes = useRedisNodes(2);

  test("is refused at construction when the addresses are the same", () => {
    expect(() => new Redlock({ nodes: [nodes.urls[0]!, nodes.urls[1]!, nodes.urls[0]!] })).toThrow(
      LockConfigError,
    );
  });

  test("has one vote at two addresses: without the other server nothing is granted", async () => {
    const [alias] = await makeProxies(nodes.ports.slice(0, 1));
    const redlock = makeRedlock([nodes.urls[0]!, alias!.url, nodes.urls[1]!]);
    const warnings: RedlockWarning[] = [];
    redlock.on("warning", (warning) => void warnings.push(warning));
    await nodes.kill(1);

    const error = await failureOf(redlock.acquire("account"));

    expect(error).toBeInstanceOf(LockUnavailableError);
    expect((error as LockUnavailableError).votes.map(({ vote }) => vote).sort()).toEqual([
      "duplicate",
      "free",
      "unreachable",
    ]);
    expect(warnings.map(({ code }) => code)).toEqual(["duplicate-server"]);
    await untilFreeEverywhere([redisClients(nodes)[0]!], "account");
  });

  test("cannot extend a lock that the other server has forgotten", async () => {
    const [alias] = await makeProxies(nodes.ports.slice(0, 1));
    const redlock = makeRedlock([nodes.urls[0]!, alias!.url, nodes.urls[1]!]);
    const lock = await redlock.acquire("account", { heartbeat: false });
    await redisClients(nodes)[1]!.flushall();

    expect(await failureOf(lock.extend())).toBeInstanceOf(Error);
    expect(await untilAborted(lock)).toMatchObject({ code: "ERR_REDLOCK_LOST" });
  });
});

describe("a quorum that is none (U7)", () => {
  const nodes = useRedisNodes(3);

  test("cannot be configured", () => {
    const options = { nodes: nodes.urls, quorum: 1 } as RedlockOptions;
    expect(() => new Redlock(options)).toThrow(LockConfigError);
  });

  test("is not made by a partition: the client that reaches two nodes gets the lock", async () => {
    const minority = await makeProxies(nodes.ports);
    const majority = await makeProxies(nodes.ports);
    const [one, two] = await Promise.all([
      connectRedlock(minority.map(({ url }) => url)),
      connectRedlock(majority.map(({ url }) => url)),
    ]);
    for (const proxy of [minority[1]!, minority[2]!, majority[0]!]) {
      proxy.refuse();
      proxy.cut();
    }

    const [first, second] = await Promise.allSettled([
      one.acquire("account"),
      two.acquire("account"),
    ]);

    expect(first).toMatchObject({ status: "rejected", reason: expect.any(LockUnavailableError) });
    expect(second.status).toBe("fulfilled");
  });
});

describe("the database of a lock (M1)", () => {
  const nodes = useRedisNodes(3);

  test("is the one of the given client, also after the connection was made anew", async () => {
    const proxies = await makeProxies(nodes.ports);
    const clients = proxies.map(({ port }) => redisClient(`redis://127.0.0.1:${port}`, { db: 5 }));
    const redlock = await connectRedlock(clients);
    const direct = nodes.urls.map((url) => redisClient(url, { db: 5 }));
    await untilHeldEverywhere(direct, await redlock.acquire("first"));
    for (const proxy of proxies) proxy.cut();
    await untilAllAnswer(redlock);
    await untilHeldEverywhere(direct, await redlock.acquire("second"));

    for (const [node, url] of nodes.urls.entries()) {
      const client = direct[node]!;
      expect(await client.exists("redlock:first", "redlock:second")).toBe(2);
      expect(await redisClient(url).dbsize()).toBe(0);
    }
  });

  test("is the one of a URL and of options", async () => {
    const [first, second, third] = nodes.ports;
    const redlock = await connectRedlock([
      `redis://127.0.0.1:${first}/5`,
      { port: second!, db: 5 },
      { url: `redis://127.0.0.1:${third}`, db: 5 },
    ]);
    await redlock.acquire("account");

    for (const url of nodes.urls) {
      await waitFor(async () =>
        expect(await redisClient(url, { db: 5 }).exists("redlock:account")).toBe(1),
      );
      expect(await redisClient(url).dbsize()).toBe(0);
    }
  });

  test("is never database 0 in place of one that does not exist", async () => {
    const urls = nodes.urls.map((url) => `${url}/99`);
    for (const given of [urls, urls.map((url) => redisClient(url))]) {
      const redlock = makeRedlock(given);

      const causes = causesOf(await failureOf(redlock.acquire("account")));

      expect(causes).toEqual(
        Array.from({ length: 3 }, () => expect.stringContaining("out of range")),
      );
    }
    for (const url of nodes.urls) expect(await redisClient(url).dbsize()).toBe(0);
  });
});

describe("what the given client has of its own", () => {
  const nodes = useRedisNodes(3);

  test("such as commands with the names of ours is not used (M2)", async () => {
    const clients = redisClients(nodes);
    for (const client of clients) {
      for (const name of ["acquire", "acquireLock", "extend", "release", "evalsha", "eval"]) {
        client.defineCommand(name, { numberOfKeys: 0, lua: "return {{'OK'}}" });
      }
    }
    const redlock = await connectRedlock(clients);

    const lock = await redlock.acquire("account");

    const stored = await valuesOf(redisClients(nodes), "account");
    expect(stored.filter((value) => value?.startsWith(`${lock.fencingToken}:`))).not.toEqual([]);
    expect(await lock.release()).toBe("released");
  });

  test("such as `stringNumbers` and auto-pipelining changes nothing", async () => {
    const clients = redisClients(nodes, {
      stringNumbers: true,
      enableAutoPipelining: true,
    });
    const redlock = await connectRedlock(clients);

    const lock = await redlock.acquire("account");
    await lock.extend();

    expect(Number.isSafeInteger(lock.fencingToken)).toBe(true);
    const rival = await connectRedlock(nodes.urls);
    const conflict = await failureOf(rival.acquire("account"));
    expect(conflict).toMatchObject({ holder: { fencingToken: lock.fencingToken } });
    for (const client of redisClients(nodes)) {
      for (const key of await client.keys("*")) expect(key).toMatch(/^redlock:/);
    }
    const { nodes: seen } = await redlock.inspect("account");
    for (const { expiresIn } of seen) expect(expiresIn).toEqual(expect.any(Number));
    expect(await lock.release()).toBe("released");
  });

  test("such as numbers that come as text does not matter for options either", async () => {
    const redlock = await connectRedlock(
      nodes.ports.map((port) => ({ port, stringNumbers: true, commandTimeout: 1 })),
    );
    const rival = await connectRedlock(nodes.urls);
    await redlock.acquire("account");

    expect(await failureOf(rival.acquire("account"))).toBeInstanceOf(LockConflictError);
  });

  test("stays open and as it was when the Redlock closes", async () => {
    const clients = redisClients(nodes);
    const redlock = await connectRedlock(clients);
    await redlock.acquire("account");
    await redlock.close();

    for (const client of clients) {
      expect(await client.ping()).toBe("PONG");
      expect(client.listenerCount("ready")).toBe(0);
    }
  });

  test("such as option objects is not changed, and serves twice (P3)", async () => {
    const given = nodes.ports.map((port) =>
      Object.freeze({ url: `redis://127.0.0.1:${port}`, db: 3 }),
    );
    const options = Object.freeze({ nodes: Object.freeze(given), ttl: 2_000 });
    const before = structuredClone(options);
    const [first, second] = [makeRedlock(given, options), makeRedlock(given, options)];

    await first.acquire("account");

    expect(await second.tryAcquire("account")).toBeNull();
    expect(options).toEqual(before);
  });
});

describe("a master that wants a password", () => {
  const nodes = useRedisNodes(3, { args: ["--requirepass", "secret"] });

  test("and gets none is named with its reason", async () => {
    const redlock = makeRedlock(nodes.urls);

    const { votes } = (await failureOf(redlock.acquire("account"))) as LockUnavailableError;

    for (const vote of votes) expect(vote).toMatchObject(refusedWith("NOAUTH"));
  });

  test("and gets a wrong one is named with its reason, not with the password", async () => {
    const redlock = makeRedlock(nodes.ports.map((port) => ({ port, password: "wrong-guess" })));

    const error = (await failureOf(redlock.acquire("account"))) as LockUnavailableError;

    for (const vote of error.votes) expect(vote).toMatchObject(refusedWith("WRONGPASS"));
    expect(JSON.stringify(error) + String(error)).not.toContain("wrong-guess");
  });

  test("and gets it is a master like any other", async () => {
    const [first, second, third] = nodes.ports;
    const redlock = await connectRedlock([
      `redis://:secret@127.0.0.1:${first}`,
      { port: second!, password: "secret" },
      redisClient(nodes.urls[2]!, { port: third!, password: "secret" }),
    ]);

    expect((await redlock.acquire("account")).held).toBe(true);
  });
});

describe("a replica in place of a master (P1)", () => {
  // The last one is no lock master: it has the replicas.
  const nodes = useRedisNodes(4, { args: ["--repl-diskless-sync-delay", "0"] });

  test("is not asked, and named with its reason", async () => {
    await Promise.all([makeReplica(nodes, 1, 3), makeReplica(nodes, 2, 3)]);
    const redlock = makeRedlock(nodes.urls.slice(0, 3));

    const causes = causesOf(await failureOf(redlock.acquire("account")));

    expect(causes.filter((cause) => cause === "a replica, expected a master")).toHaveLength(2);
  });

  test("that was a master before is named too, and the node that granted is freed", async () => {
    const redlock = await connectRedlock(nodes.urls.slice(0, 3));
    await Promise.all([makeReplica(nodes, 1, 3), makeReplica(nodes, 2, 3)]);

    const causes = causesOf(await failureOf(redlock.acquire("account")));

    expect(causes.filter((cause) => cause?.startsWith("READONLY"))).toHaveLength(2);
    await untilFreeEverywhere(redisClients(nodes), "account");
  });

  test("costs one vote when it is one of three", async () => {
    await makeReplica(nodes, 2, 3);
    const redlock = makeRedlock(nodes.urls.slice(0, 3));

    const lock = await redlock.acquire("account");
    await lock.extend();

    expect(await lock.release()).toBe("released");
  });
});

describe("a node that refuses to write (P1)", () => {
  const nodes = useRedisNodes(3);

  test("for want of replicas or memory is named, and the node that granted is freed", async () => {
    await configure(nodes, 1, "min-replicas-to-write", "1");
    await configure(nodes, 2, "maxmemory", "1");
    const redlock = await connectRedlock(nodes.urls);

    const causes = causesOf(await failureOf(redlock.acquire("account")));

    expect(causes).toEqual([
      undefined,
      expect.stringContaining("NOREPLICAS"),
      expect.stringContaining("OOM"),
    ]);
    await untilFreeEverywhere(redisClients(nodes), "account");
  });

  test("for want of memory still extends and frees what is locked", async () => {
    const redlock = await connectRedlock(nodes.urls, { heartbeat: false });
    const clients = redisClients(nodes);
    const lock = await redlock.acquire("account");
    await waitFor(async () => expect(await valuesOf(clients, "account")).not.toContain(null));
    for (const index of [0, 1, 2]) await configure(nodes, index, "maxmemory", "1");

    await lock.extend();
    expect(await lock.release()).toBe("released");

    await untilFreeEverywhere(clients, "account");
    expect(causesOf(await failureOf(redlock.acquire("account"))).join()).toContain("OOM");
  });

  test("because somebody's script runs on and on costs one vote", async () => {
    await configure(nodes, 0, "lua-time-limit", "20");
    const redlock = await connectRedlock(nodes.urls);
    // A busy server refuses the check whether it is ready.
    const killer = redisClient(nodes.urls[0]!, { enableReadyCheck: false });
    await killer.ping();
    const endless = redisClient(nodes.urls[0]!)
      .eval("while true do end", 0)
      .catch(() => "killed");

    const lock = await redlock.acquire("account");
    await lock.extend();
    expect(await lock.release()).toBe("released");

    await waitFor(async () => await killer.script("KILL"));
    expect(await endless).toBe("killed");
  });
});

describe("a node that forgets", () => {
  const nodes = useRedisNodes(3);

  test("by FLUSHALL and by an empty restart ends nothing as long as a quorum remembers", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 800 });
    const rival = await connectRedlock(nodes.urls);
    const lock = await redlock.acquire("account");
    const beats = new Promise<void>((resolve) => {
      let count = 0;
      redlock.on("extended", () => (++count === 5 ? resolve() : undefined));
    });
    await redisClients(nodes)[0]!.flushall();
    await nodes.restart(0, { empty: true });

    await beats;

    expect(lock.held).toBe(true);
    expect(await rival.tryAcquire("account")).toBeNull();
    expect(await lock.release()).toBe("released");
  });

  test("with a majority is noticed by the next heartbeat", async () => {
    const redlock = await connectRedlock(nodes.urls, { ttl: 5_000, heartbeat: 200 });
    const lock = await redlock.acquire("account");
    const clients = redisClients(nodes);
    await Promise.all([clients[0]!.flushall(), clients[1]!.flushall()]);

    expect(await untilAborted(lock)).toMatchObject({ reason: "taken" });
    expect(lock.held).toBe(false);
  });
});

describe("a user without a permission", () => {
  const nodes = useRedisNodes(3);

  test("is told that its masters refuse to release, once for each of them", async () => {
    for (const client of redisClients(nodes)) {
      await client.call(
        "ACL",
        "SETUSER",
        "weak",
        "reset",
        "on",
        ">secret",
        "~*",
        "&*",
        "+@all",
        "-del",
      );
    }
    const redlock = makeRedlock(nodes.urls.map((url) => url.replace("//", "//weak:secret@")));
    const warnings: RedlockWarning[] = [];
    redlock.on("warning", (warning) => void warnings.push(warning));

    for (const key of ["account", "invoice"]) {
      expect(await (await redlock.acquire(key)).release()).toBe("expired");
    }

    await waitFor(() => expect(warnings.map(({ code }) => code)).toEqual(Array(3).fill("refused")));
    const refusal = / has refused a request \(release\): .*; npx bullmq-redlock doctor names what/;
    for (const { message } of warnings) expect(message).toMatch(refusal);
  });
});
