import type { DataOption } from "../../src/data-option.ts";
import {
  checkRedlockOptions,
  REDLOCK_OPTIONS,
  type RedlockSettings,
} from "../../src/redlock/options.ts";
import { RedlockHandle } from "../../src/handle/handle.ts";
import fc from "fast-check";
import type * as Ioredis from "ioredis";
import { Redis } from "ioredis";
import { createRequire } from "node:module";
import { afterEach, describe, expect, it } from "vitest";
import { LockConfigError, LockKeyError } from "../../src/errors.ts";
import type { RedlockWarning } from "../../src/events.ts";
import type { NodeOption } from "../../src/redis/node-options.ts";
import { parseUrl } from "../../src/redis/address.ts";
import { Redlock } from "../../src/redlock/redlock.ts";
import { simulate } from "../support/simulated-redlock.ts";

const made: Redlock[] = [];
afterEach(async () => {
  await Promise.all(made.splice(0).map((redlock) => redlock.close()));
});

function make(options: unknown): Redlock {
  const redlock = new Redlock(options as object).on("warning", () => {});
  made.push(redlock);
  return redlock;
}

const HOST = (found: string): RegExp =>
  new RegExp(`^nodes\\[0\\]\\.host: found ${found}, expected a host name or address alone; `);

const TOO_LONG =
  /^ttl: found 20000, expected whole milliseconds from 1 to 15000, the maxTtl of the Redlock \(raise it there for longer locks\)$/;

describe("a Redlock refuses", () => {
  it.each<[string, unknown, RegExp]>([
    ["no nodes", { nodes: [] }, /^nodes: found an empty array, expected at least one Redis master/],
    [
      "nodes that are no array",
      { nodes: 5 },
      /^nodes: found a number, expected at least one Redis/,
    ],
    [
      "nodes in one text",
      { nodes: "redis://:secret@a,redis://b" },
      /^nodes: found a text, expected a list of URLs: split it at its commas$/,
    ],
    [
      "several nodes in one text of the list",
      { nodes: ["redis://a", "redis://:secret@b, valkeys://c"] },
      /^nodes\[1\]: found several URLs in one text, expected one: split it at its commas$/,
    ],
    [
      "nodes without a value",
      { nodes: undefined },
      /^nodes: found nothing, expected a list of lock masters; is an environment variable missing\?$/,
    ],
    ["nodes that are null", { nodes: null }, /^nodes: found null, expected a list of lock masters/],
    ["a malformed URL", { nodes: ["redis//a"] }, /^nodes\[0\]: found text that is not a URL/],
    [
      "a port out of range in a URL",
      { nodes: ["redis://:secret@[::1]:99999/0"] },
      /^nodes\[0\]: found a URL whose port is out of range, expected a port from 1 to 65535$/,
    ],
    ["port 0 in a URL", { nodes: ["redis://a:0"] }, /^nodes\[0\]\.port: found 0, expected a port/],
    [
      "a port that is no number",
      { nodes: ["redis://a:99999x"] },
      /^nodes\[0\]: found text that is not a URL/,
    ],
    ["another scheme", { nodes: ["http://a:6379"] }, /^nodes\[0\]: .*scheme "http:"/],
    [
      "a host and a port without a scheme",
      { nodes: ["lock-1:6379"] },
      /^nodes\[0\]: found a host and a port without a scheme, expected "redis:\/\/" before it/,
    ],
    ["an address and a port without a scheme", { nodes: ["10.0.0.1:6379"] }, /without a scheme/],
    [
      "a keyPrefix of a node",
      { nodes: [{ host: "a", keyPrefix: "app:" }] },
      /^nodes\[0\]\.keyPrefix: found a text, expected none: .* option prefix of the Redlock$/,
    ],
    [
      "a node that watches",
      { nodes: [{ host: "a", monitor: true }] },
      /^nodes\[0\]\.monitor: found true, expected none: .* takes no commands$/,
    ],
    [
      "a keyPrefix of a client",
      { nodes: [new Redis({ lazyConnect: true, keyPrefix: "app:" })] },
      /^nodes\[0\]\.options\.keyPrefix: found a text, expected none/,
    ],
    [
      "a client that watches",
      { nodes: [new Redis({ lazyConnect: true, monitor: true })] },
      /^nodes\[0\]\.options\.monitor: found true, expected none/,
    ],
    ["a URL with a query", { nodes: ["redis://a?family=6"] }, /^nodes\[0\]: .*options object/],
    ["a URL with a path", { nodes: ["redis://a/zero"] }, /^nodes\[0\]: .*a path that is no number/],
    ["a bad URL inside an object", { nodes: [{ url: "a b" }] }, /^nodes\[0\]\.url: /],
    ["a port out of range", { nodes: [{ port: 70_000 }] }, /^nodes\[0\]\.port: found 70000/],
    ["an empty host", { nodes: [{ host: "" }] }, /^nodes\[0\]\.host: found an empty text/],
    ["a URL for a host", { nodes: [{ host: "redis://:pw@h:1" }] }, HOST("a URL")],
    [
      "a host with a password",
      { nodes: [{ host: ":pw@h" }] },
      HOST("a host with a user or a password"),
    ],
    ["a host with a port", { nodes: [{ host: "h:6380" }] }, HOST("a host with a port")],
    [
      "a host in brackets with a port",
      { nodes: [{ host: "[::1]:1" }] },
      HOST("a host with a port"),
    ],
    ["an address in brackets", { nodes: [{ host: "[::1]" }] }, HOST("an address in brackets")],
    ["white space before a host", { nodes: [{ host: " h" }] }, HOST("white space in a host")],
    ["a host with a database", { nodes: [{ host: "h/0" }] }, HOST("a host with / in it")],
    ["several hosts", { nodes: [{ host: "h,i" }] }, HOST("no host name")],
    [
      "a host of a client",
      { nodes: [new Redis({ lazyConnect: true, host: "u:pw@h" })] },
      /^nodes\[0\]\.options\.host: found a host with a user/,
    ],
    [
      "a URL for a socket",
      { nodes: [{ path: "redis://:pw@h:1" }] },
      /^nodes\[0\]\.path: found a URL, expected the path of a Unix socket; a URL is the option url$/,
    ],
    ["a host for a socket", { nodes: [{ path: ":pw@h:1" }] }, /^nodes\[0\]\.path: found a URL/],
    [
      "a URL in a text for a socket",
      { nodes: ["/redis://:pw@h"] },
      /^nodes\[0\]\.path: found a URL/,
    ],
    [
      "another host than that of the URL",
      { nodes: [{ url: "redis://a:1", host: "b" }] },
      /^nodes\[0\]\.host: found another one than in url, expected one of them$/,
    ],
    [
      "another port than that of the URL",
      { nodes: [{ url: "redis://a:1", port: 2 }] },
      /^nodes\[0\]\.port: found another one than in url/,
    ],
    [
      "another database than that of the URL",
      { nodes: [{ url: "redis://a/1", db: 2 }] },
      /^nodes\[0\]\.db: found another one than in url/,
    ],
    [
      "another socket than in url",
      { nodes: [{ url: "/a", path: "/b" }] },
      /^nodes\[0\]\.path: found another one than in url/,
    ],
    [
      "a socket beside a URL",
      { nodes: [{ url: "redis://a", path: "/a" }] },
      /^nodes\[0\]\.path: found a socket beside a host, expected one of them$/,
    ],
    [
      "a socket beside a host",
      { nodes: [{ host: "a", path: "/a" }] },
      /^nodes\[0\]\.path: found a socket beside a host/,
    ],
    [
      "a socket beside a port",
      { nodes: [{ port: 1, path: "/a" }] },
      /^nodes\[0\]\.path: found a socket beside a port/,
    ],
    [
      "a URL object of another scheme",
      { nodes: [new URL("http://:pw@a")] },
      /^nodes\[0\]: .*scheme "http:"/,
    ],
    [
      "an object of a class without an option",
      { nodes: [new Map([["host", "a"]])] },
      /^nodes\[0\]: found an object that does not say where the master is/,
    ],
    [
      "an object whose host is no property of its own",
      {
        nodes: [
          new (class {
            get host() {
              return "a";
            }
          })(),
        ],
      },
      /^nodes\[0\]: found an object that does not say where the master is/,
    ],
    // eslint-disable-next-line no-sparse-arrays -- what a comma too many makes
    ["a gap in the list", { nodes: [, "redis://a"] }, /^nodes\[0\]: found nothing, expected a URL/],
    ["sentinels", { nodes: [{ sentinels: [] }] }, /^nodes\[0\]\.sentinels: .*independent master/],
    [
      "a part of a node that is misspelt",
      { nodes: ["redis://a", { hots: "b" }] },
      /^nodes\[1\]\.hots: found an unknown option, expected "host"\?$/,
    ],
    [
      "a misspelt part beside a right one",
      { nodes: [{ host: "a", pasword: "x" }] },
      /^nodes\[0\]\.pasword: found an unknown option, expected "password"\?$/,
    ],
    [
      "a part beside a URL that ioredis does not know",
      { nodes: [{ url: "redis://a", machine: "b" }] },
      /^nodes\[0\]: found an unknown option, expected an option of ioredis, such as host/,
    ],
    [
      "a part with a digit, which may be a secret",
      { nodes: [{ host: "a", passw0rd: "x" }] },
      /^nodes\[0\]: found an unknown option, expected "password"\?$/,
    ],
    [
      "the connection of a Queue",
      { nodes: [{ connection: { host: "a" } }] },
      /^nodes\[0\]\.connection: found an object, expected its options in the entry itself, as in \{ host, port \}$/,
    ],
    [
      "a node that is nowhere",
      { nodes: [{}] },
      /^nodes\[0\]: found an object that does not say where the master is, expected host, port, path or url$/,
    ],
    ["a node with a database only", { nodes: [{ db: 1 }] }, /^nodes\[0\]: .*where the master is/],
    [
      "a host that was not set",
      { nodes: [{ host: undefined, port: 6379 }] },
      /^nodes\[0\]\.host: found nothing, expected a host name/,
    ],
    ["tls in a word", { nodes: [{ host: "a", tls: "yes" }] }, /^nodes\[0\]\.tls: found a text/],
    ["tls as a switch", { nodes: [{ host: "a", tls: true }] }, /^nodes\[0\]\.tls: found true/],
    ["tls without a value", { nodes: [{ host: "a", tls: null }] }, /^nodes\[0\]\.tls: found null/],
    ["a number for a node", { nodes: [6379] }, /^nodes\[0\]: found a number, expected a URL/],
    ["no node at all", { nodes: [null] }, /^nodes\[0\]: found null/],
    [
      "the same URL twice",
      { nodes: ["redis://a:1", "redis://b:1", "redis://A:1/"] },
      /^nodes\[2\]: found a:1, the same server as nodes\[0\]/,
    ],
    ["two databases of one server", { nodes: ["redis://a/1", "redis://a/2"] }, /^nodes\[1\]: /],
    ["a ttl of 0", { ttl: 0 }, /^ttl: found 0, expected whole milliseconds from 1/],
    ["a ttl that is no number", { ttl: Number.NaN }, /^ttl: found NaN/],
    ["a ttl in words", { ttl: "15s" }, /^ttl: found "15s"/],
    ["a fraction of a millisecond", { ttl: 1_000.5 }, /^ttl: found 1000.5/],
    ["a ttl too short ever to be granted", { ttl: 60 }, /^ttl: found 60, expected at least 108 ms/],
    ["a ttl beyond the memory of marks", { ttl: 7_200_000 }, /^ttl: found 7200000/],
    ["a maxTtl below the ttl", { ttl: 5_000, maxTtl: 1_000 }, /^maxTtl: found 1000/],
    ["a heartbeat after the end", { ttl: 1_000, heartbeat: 900 }, /^heartbeat: found 900/],
    ["a heartbeat of 0", { heartbeat: 0 }, /^heartbeat: found 0, expected false, or whole/],
    ["a nodeTimeout of 0", { nodeTimeout: 0 }, /^nodeTimeout: found 0/],
    [
      "a nodeTimeout that outlasts the default ttl",
      { nodeTimeout: 20_000 },
      /^nodeTimeout: found 20000, expected at most 15000 ms, the ttl: a lock would end before its masters have answered$/,
    ],
    [
      "a nodeTimeout that outlasts the ttl",
      { ttl: 1_000, nodeTimeout: 1_001 },
      /^nodeTimeout: found 1001, expected at most 1000 ms, the ttl/,
    ],
    ["a negative driftFactor", { driftFactor: -1 }, /^driftFactor: found -1/],
    [
      "a driftFactor too large",
      { driftFactor: 0.21 },
      /^driftFactor: found 0\.21, expected a number from 0 to 0\.2$/,
    ],
    [
      "the old name of prefix",
      { keyPrefix: "a:" },
      /^keyPrefix: found an unknown option, expected "prefix"\?$/,
    ],
    ["a prefix that is no text", { prefix: 5 }, /^prefix: found 5/],
    ["an unknown option", { tll: 5 }, /^tll: found an unknown option, expected "ttl"\?/],
    ["an option of nothing we know", { retries: 5 }, /^retries: .*one of nodes, ttl, maxTtl/],
    ["options that are none", null, /^options: found null/],
  ])("%s", (_, options, message) => {
    expect(() => make(options)).toThrow(LockConfigError);
    expect(() => make(options)).toThrow(message);
  });

  it.each([...Object.keys(REDLOCK_OPTIONS), "nodes", "telemetry"])("null as %s", (option) => {
    expect(() => make({ [option]: null })).toThrow(LockConfigError);
    expect(() => make({ [option]: null })).toThrow(
      new RegExp(`^${option}: found null(?: as a limit)?, expected `),
    );
    if (option !== "nodes") expect(() => make({ [option]: undefined })).not.toThrow();
  });

  it.each(["ttl", "heartbeat", "waitTimeout", "limit", "signal", "holder"])(
    "null as %s of acquire",
    async (option) => {
      const attempt = make({}).acquire("k", { [option]: null });
      await expect(attempt).rejects.toThrow(LockConfigError);
      await expect(attempt).rejects.toThrow(
        new RegExp(`^${option}: found null(?: as a limit)?, expected `),
      );
    },
  );

  it("to repeat a password in an error", () => {
    let message = "";
    try {
      make({ nodes: ["redis://me:secret@a b"] });
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain("nodes[0]");
    expect(message).not.toContain("secret");
  });

  it.each<[string, unknown, unknown, RegExp]>([
    ["an unknown option", "k", { timeout: 5 }, /^timeout: found an unknown option/],
    ["a ttl above maxTtl", "k", { ttl: 20_000 }, TOO_LONG],
    ["a ttl of NaN", "k", { ttl: Number.NaN }, /^ttl: found NaN/],
    ["a ttl too short", "k", { ttl: 10 }, /^ttl: found 10, expected at least/],
    ["a heartbeat too late", "k", { ttl: 1_000, heartbeat: 999 }, /^heartbeat: found 999/],
    ["a signal that is none", "k", { signal: {} }, /^signal: found an object/],
    ["a holder that is no text", "k", { holder: 5 }, /^holder: found 5/],
    ["a negative wait", "k", { waitTimeout: -1 }, /^waitTimeout: found -1/],
    ["no options object", "k", "5s", /^options: found a text, expected an object of options$/],
    [
      "a ttl alone",
      ["k"],
      5_000,
      /^options: found 5000, expected an object of options, such as: \{ ttl: 5000 \}$/,
    ],
  ])("in acquire: %s", async (_, keys, options, message) => {
    const redlock = make({});
    const attempt = redlock.acquire(keys as string, options as object);
    await expect(attempt).rejects.toThrow(LockConfigError);
    await expect(attempt).rejects.toThrow(message);
  });

  it.each<[string, unknown, unknown, RegExp]>([
    ["no name of an operator", undefined, {}, /^by: found nothing, expected a reason for people/],
    ["an empty name", "", {}, /^by: found an empty text, expected a reason for people/],
    [
      "a negative slot",
      "x",
      { slot: -1 },
      /^slot: found -1, expected a whole number from 0 to 999/,
    ],
    ["a slot in words", "x", { slot: "abc" }, /^slot: found "abc", expected a whole number/],
    ["a misspelt slot", "x", { slt: 1 }, /^slt: found an unknown option, expected "slot"\?$/],
    ["no options object", "x", null, /^options: found null/],
  ])("in cancel: %s", async (_, by, options, message) => {
    const attempt = make({}).cancel("k", by as string, options as object);
    await expect(attempt).rejects.toThrow(LockConfigError);
    await expect(attempt).rejects.toThrow(message);
  });

  it("in using: a ttl alone", async () => {
    const ttl = 5_000 as unknown as object;
    const attempt = make({}).using(["k"], ttl, () => undefined);
    await expect(attempt).rejects.toThrow(/^options: found 5000, .* such as: \{ ttl: 5000 \}$/);
  });

  it("in forceRelease: a fencing token that is null, which would mean any holder", async () => {
    const options = { reason: "x", fencingToken: null as unknown as number };
    await expect(make({}).forceRelease("k", options)).rejects.toThrow(
      /^fencingToken: found null, expected a fencing token from 0/,
    );
  });

  it.each<[string, unknown, RegExp]>([
    [
      "an unknown option",
      { retries: 5 },
      /^retries: found an unknown option, expected "retryTimes"/,
    ],
    ["a ttl in words", { ttl: "x" }, /^ttl: found "x", expected whole milliseconds/],
    ["a ttl above maxTtl", { ttl: 20_000 }, TOO_LONG],
    ["a heartbeat too late", { ttl: 1_000, heartbeat: 999 }, /^heartbeat: found 999/],
    ["a holder that is no text", { holder: 5 }, /^holder: found 5, expected a text/],
    ["no tries", { retryTimes: 0 }, /^retryTimes: found 0, expected tries from 1/],
    ["a pause in words", { retryDelay: "1s" }, /^retryDelay: found "1s"/],
    ["a switch in words", { reentrant: "yes" }, /^reentrant: found "yes", expected true or false/],
    ["no options object", 5, /^options: found 5/],
  ])("in handle, at once: %s", (_, options, message) => {
    const redlock = make({});
    expect(() => new RedlockHandle(redlock, "k", options as object)).toThrow(LockConfigError);
    expect(() => new RedlockHandle(redlock, "k", options as object)).toThrow(message);
  });

  it("to run what is no function, in its own using and a handle's, and asks for no key", async () => {
    const redlock = make({});
    const acquired: unknown[] = [];
    redlock.on("acquired", (event) => acquired.push(event));
    const none = undefined as unknown as () => void;
    const handle = new RedlockHandle(redlock, "k", { reentrant: true });
    for (const running of [redlock.using("k", none), handle.using(none)]) {
      await expect(running).rejects.toThrow(LockConfigError);
      await expect(running).rejects.toThrow(
        "routine: found nothing, expected a function to run under the lock",
      );
    }
    expect([handle.lock, acquired]).toEqual([undefined, []]);
  });

  it.each<[unknown, string]>([
    [["a", "b"], "an array of 2"],
    [["a"], "an array of 1"],
    [5, "5"],
    [undefined, "nothing"],
  ])("to take %j for one key", async (key, found) => {
    const redlock = make({});
    const message = `lock key: found ${found}, expected one key`;
    const given = key as string;
    expect(() => new RedlockHandle(redlock, given)).toThrow(LockKeyError);
    expect(() => new RedlockHandle(redlock, given)).toThrow(message);
    for (const looking of [redlock.inspect(given), redlock.isLocked(given)]) {
      await expect(looking).rejects.toThrow(LockKeyError);
      await expect(looking).rejects.toThrow(message);
    }
  });

  it.each<[string, unknown]>([
    ["an empty key", ""],
    ["no key", undefined],
    ["no keys", []],
    ["an empty key among others", ["a", ""]],
    ["a number", 5],
    ["a reserved name", "@fence:a"],
  ])("as a key: %s", async (_, key) => {
    const redlock = make({});
    await expect(redlock.acquire(key as string)).rejects.toThrow(LockKeyError);
    await expect(redlock.isLocked(key as string)).rejects.toThrow(LockKeyError);
  });
});

describe("every accepted configuration", () => {
  it("with a short ttl keeps its lock, or is refused", async () => {
    const kept: number[] = [];
    for (let ttl = 50; ttl <= 400; ttl++) {
      for (const more of [{}, { driftFactor: 0 }, { driftFactor: 0.1 }]) {
        let simulation: ReturnType<typeof simulate>;
        try {
          simulation = simulate(1, { ttl, ...more });
        } catch (error) {
          expect(String(error)).toMatch(/ttl: found \d+, expected at least \d+ ms/);
          continue;
        }
        const { clock, redlock, nodes } = simulation;
        for (const { behaviour } of nodes) behaviour.there = behaviour.back = 24.5;
        const lock = await clock.until(redlock.acquire("k"));
        await clock.pass(3 * ttl);
        expect(lock.held, `ttl ${ttl}`).toBe(true);
        await clock.until(lock.release());
        kept.push(ttl);
      }
    }
    expect(kept.length).toBeGreaterThan(700);
  });

  it("is granted by healthy masters, and kept by its heartbeat", async () => {
    const config = fc.record(
      {
        ttl: fc.integer({ min: 1, max: 120_000 }),
        nodeTimeout: fc.integer({ min: 1, max: 5_000 }),
        driftFactor: fc.double({ min: 0, max: 0.3, noNaN: true }),
        heartbeat: fc.oneof(fc.integer({ min: 0, max: 60_000 }), fc.constant(false as const)),
      },
      { requiredKeys: [] },
    );
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(config, fc.integer({ min: 1, max: 5 }), async (options, count) => {
        let simulation: ReturnType<typeof simulate>;
        try {
          simulation = simulate(count, options);
        } catch (error) {
          expect(error).toBeInstanceOf(LockConfigError);
          return;
        }
        accepted += 1;
        const { clock, redlock, nodes } = simulation;
        const patience = Math.min(options.nodeTimeout ?? 50, 50) - 1;
        for (const { behaviour } of nodes) {
          behaviour.there = patience / 2;
          behaviour.back = patience / 2;
        }
        const lock = await clock.until(redlock.acquire("k"));
        expect(lock.held).toBe(true);
        if (options.heartbeat !== false) {
          await clock.pass(3 * (options.ttl ?? 15_000));
          expect(lock.held).toBe(true);
        }
        await clock.until(lock.release());
      }),
      { numRuns: 400 },
    );
    expect(accepted).toBeGreaterThan(50);
  });
});

async function warningsOf(nodes: string[]): Promise<RedlockWarning[]> {
  const warnings: RedlockWarning[] = [];
  const redlock = new Redlock({ nodes }).on("warning", (warning) => warnings.push(warning));
  made.push(redlock);
  await Promise.resolve();
  return warnings;
}

describe("the table of options", () => {
  const shown: Record<string, string> = { ttl: "15s", clockSkewBudget: "5s" };

  it.each(Object.entries<DataOption>(REDLOCK_OPTIONS).filter(([, option]) => "default" in option))(
    "has the default of %s in its description, and in the settings",
    (name, option) => {
      const text = shown[name] ?? JSON.stringify(option.default);
      expect(option.says).toContain(`default ${text}`);
      expect(checkRedlockOptions({})[name as keyof RedlockSettings]).toBe(option.default);
    },
  );
});

describe("a warning", () => {
  const urls = Array.from({ length: 5 }, (_, i) => `redis://lock-${i}`);

  it("is given for one master and for even numbers, once", async () => {
    expect(await warningsOf(urls.slice(0, 1))).toMatchObject([{ code: "node-count" }]);
    expect(await warningsOf(urls.slice(0, 2))).toMatchObject([{ code: "node-count" }]);
    expect(await warningsOf(urls.slice(0, 4))).toMatchObject([
      {
        message:
          "4 lock masters survive the loss of 1, no more than 3 would; use an odd number, three or five",
      },
    ]);
  });

  it("is not given for three or five", async () => {
    expect(await warningsOf(urls.slice(0, 3))).toEqual([]);
    expect(await warningsOf(urls)).toEqual([]);
  });
});

describe("nodes", () => {
  const require = createRequire(import.meta.url);

  it.each([
    ["the ioredis beside us", require],
    ["ioredis 5", createRequire(require.resolve("bullmq5"))],
  ])("may have every option of %s", (_name, load) => {
    const client = new (load("ioredis") as typeof Ioredis).Redis({ lazyConnect: true, host: "a" });
    client.disconnect();
    const { sentinels: _, ...options } = client.options;
    expect(Object.keys(options)).toContain("maxRetriesPerRequest");
    expect(() => make({ nodes: [options] })).not.toThrow();
    expect(() => make({ nodes: [client] })).not.toThrow();
  });

  it("may be told by any part that says where they are, with TLS or without", () => {
    const nodes = [
      { port: 7_001 },
      { host: "b", tls: {} },
      { host: "c", tls: "RedisCloudFixed" },
      { path: "/run/d.sock" },
      { host: undefined, path: "/run/e.sock" },
      { url: "redis://f", tls: undefined },
      { host: "g", keyPrefix: "", monitor: false },
    ];
    expect(() => make({ nodes })).not.toThrow();
  });

  it("may be told by an object of class URL, as by its text", () => {
    const nodes: NodeOption[] = [new URL("redis://:pw@a:1/2"), new URL("rediss://b")];
    expect(() => make({ nodes })).not.toThrow();
    expect(() => make({ nodes: [...nodes, "redis://a:1"] })).toThrow(
      "nodes[2]: found a:1, the same server as nodes[0]",
    );
  });

  it("may give their address twice when it is the same, and complete their URL", () => {
    const nodes = [
      { url: "redis://a:1/2", host: "A", port: 1, db: 2 },
      { url: "redis://b", port: 2, db: 1 },
      { url: "redis://u:old@c", password: "new" },
      { path: "/d", host: "localhost", port: 6379 },
      { host: "::1" },
      { host: "fe80::1%eth0" },
    ];
    expect(() => make({ nodes })).not.toThrow();
    expect(() => make({ nodes: ["redis://b:2", nodes[1]] })).toThrow("found b:2, the same server");
  });

  it("may be told as Valkey's, which means the same", () => {
    const plain = "valkey://a:1";
    const secure = "valkeys://b";
    expect(() => make({ nodes: [plain, secure, "valkey://C/2"] })).not.toThrow();
    expect(() => make({ nodes: [plain, "redis://a:1"] })).toThrow("the same server as nodes[0]");
    expect(parseUrl("nodes[0]", secure)).toEqual({ host: "b", tls: {} });
    expect(parseUrl("nodes[0]", plain)).not.toHaveProperty("tls");
  });

  it("may have credentials that come from functions", () => {
    const nodes: NodeOption[] = [
      { host: "a", username: "locks", password: () => "token" },
      { url: "rediss://b", username: () => "locks", password: () => Promise.resolve("token") },
    ];
    expect(() => make({ nodes })).not.toThrow();
  });

  it("with a misspelt part do not compile", () => {
    // @ts-expect-error: no option of ioredis
    const nodes: NodeOption[] = [{ hots: "a" }];
    expect(() => make({ nodes })).toThrow('expected "host"?');
  });

  it("keep the parts of their URL beside options without a value", () => {
    expect(() =>
      make({ nodes: ["redis://a:1", { url: "redis://a:1", host: undefined, port: undefined }] }),
    ).toThrow("nodes[1]: found a:1, the same server as nodes[0]");
  });

  it("are the local server by default, as in Python's redlock", () => {
    const { nodes } = simulate(1);
    expect(nodes).toHaveLength(1);
    expect(() => make({})).not.toThrow();
  });

  it("are not changed by being read", () => {
    const nodes = [Object.freeze({ url: "redis://a:1", db: 2 }), Object.freeze({ host: "b" })];
    expect(() => make({ nodes: Object.freeze(nodes) })).not.toThrow();
    expect(nodes[0]).toEqual({ url: "redis://a:1", db: 2 });
  });
});
