import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type Clock, systemClock } from "../../src/clock.ts";
import { LockUnavailableError } from "../../src/errors.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { arm, findings, keysLeft, ofCode, redlock, summary } from "./ready-support.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { RewritingProxy } from "./rewriting-proxy.ts";

const locks = useRedisNodes(3, { persistence: "always" });
beforeEach(async () => await arm(locks.urls));

/** The masters, the first of them behind a proxy that changes its words. */
async function rewritten(from: RegExp, to: string): Promise<string[]> {
  const proxy = await RewritingProxy.start(locks.ports[0]!, from, to);
  onTestFinished(async () => await proxy[Symbol.asyncDispose]());
  return [proxy.url, ...locks.urls.slice(1)];
}

/** The findings of several clients at once: each takes more than a second. */
async function findingsOfEach(sets: readonly string[][]): Promise<string[][]> {
  return await Promise.all(sets.map(async (nodes) => await findings(redlock(nodes))));
}

describe("ready() about the permissions of a user", () => {
  const FOR_LOCKS = "eval evalsha info get set del pexpire pttl time type".split(" ");
  const FOR_MESSAGES = ["publish", "subscribe", "unsubscribe"];

  /** Makes a user of this name on each master. */
  async function userUrls(user: string, ...rules: string[]): Promise<string[]> {
    for (const client of redisClients(locks)) {
      await client.call("ACL", "SETUSER", user, "reset", "on", ">secret", ...rules);
    }
    return locks.urls.map((url) => url.replace("//", `//${user}:secret@`));
  }

  async function withoutEach(commands: readonly string[]): Promise<Record<string, string[]>> {
    const sets: string[][] = [];
    for (const command of commands) {
      sets.push(await userUrls(`no-${command}`, "~*", "&*", "+@all", `-${command}`));
    }
    const found = await findingsOfEach(sets);
    return Object.fromEntries(commands.map((command, i) => [command, [...new Set(found[i])]]));
  }

  it("refuses a user without any one command that locks need, and leaves nothing behind", async () => {
    await Promise.all(redisClients(locks).map(async (client) => await client.flushall()));
    const refused = [0, 1, 2].map((node) => `fatal script-refused ${node}`);
    expect(await withoutEach(FOR_LOCKS)).toEqual(
      Object.fromEntries(FOR_LOCKS.map((command) => [command, ["fatal no-quorum -", ...refused]])),
    );
    // What DEL may not delete is left to expire, in a millisecond.
    await expect.poll(async () => await keysLeft(locks.urls)).toEqual([]);
  });

  it("warns of a user without a command that messages need: waiters poll then", async () => {
    const warned = [0, 1, 2].map((node) => `warning pubsub-refused ${node}`);
    expect(await withoutEach(FOR_MESSAGES)).toEqual(
      Object.fromEntries(FOR_MESSAGES.map((command) => [command, warned])),
    );
  });

  it("refuses a user of other keys, and warns of one of other channels", async () => {
    const [keys, channels] = await findingsOfEach([
      await userUrls("other-keys", "~other:*", "&*", "+@all"),
      await userUrls("other-channels", "~*", "resetchannels", "&other:*", "+@all"),
    ]);
    expect(keys).toContain("fatal script-refused 0");
    expect(channels).toEqual([0, 1, 2].map((node) => `warning pubsub-refused ${node}`));
  });

  it("finds nothing wrong with the user of docs/ready.md, who can lock and wait", async () => {
    const page = readFileSync(new URL("../../docs/ready.md", import.meta.url), "utf8");
    const [, rules = ""] = /ACL SETUSER locks on >secret (.+)/.exec(page) ?? [];
    expect(rules).toContain("+evalsha");
    const urls = await userUrls("locks", ...rules.split(" "));
    const client = redlock(urls);
    expect(await findings(client)).toEqual([]);
    const lock = await client.acquire("k");
    const waiting = client.acquire("k", { waitTimeout: 5_000 });
    await lock.extend();
    await lock.release();
    expect(await (await waiting).release()).toBe("released");
  });
});

describe("ready() about what a server is", () => {
  const cluster = useRedisNodes(1, { args: ["--cluster-enabled", "yes"] });

  it("refuses a replica, and warns of a master that has one", async () => {
    const [replica, master] = redisClients(locks);
    await master!.config("SET", "repl-diskless-sync-delay", "0");
    await replica!.replicaof("127.0.0.1", locks.ports[1]!);
    try {
      await expect
        .poll(async () => await replica!.info("replication"), { timeout: 10_000 })
        .toContain("link_status:up");
      expect(await findings(redlock(locks.urls))).toEqual([
        "fatal replica 0",
        "warning has-replicas 1",
      ]);
    } finally {
      await replica!.replicaof("NO", "ONE");
    }
  });

  it("refuses a server in cluster mode, whose votes do not count either", async () => {
    const [first] = cluster.urls;
    expect(await findings(redlock([first!, ...locks.urls.slice(1)]))).toEqual([
      "fatal cluster-mode 0",
    ]);
    await expect(redlock([first!]).acquire("k")).rejects.toThrow(
      "a server in cluster mode, expected one on its own",
    );
  });

  it.each([
    ["cluster-mode", /redis_mode:standalone/, "redis_mode:sentinel", "sentinel mode", "fatal"],
    ["version", /redis_version:\d+\.\d+\.\d+/, "redis_version:6.0.9", "version 6.0.9", "fatal"],
    ["version", /redis_version:\d+\.\d+\.\d+/, "redis_version:5.9.9", "version 5.9.9", "fatal"],
    ["loading", /\nloading:0/, "\nloading:1", "loading its data", "warning"],
  ])("finds %s (%s), and such votes do not count", async (code, from, to, cause, severity) => {
    const nodes = await rewritten(from, to);
    const [found, error] = await Promise.all([
      findings(redlock(nodes)),
      redlock([nodes[0]!])
        .acquire("k")
        .catch((thrown: unknown) => thrown),
    ]);
    expect(found).toEqual([`${severity} ${code} 0`]);
    expect(error).toBeInstanceOf(LockUnavailableError);
    expect((error as Error).message).toContain(cause);
  });

  it("accepts version 6.2, and one it cannot read", async () => {
    const found = await findingsOfEach([
      await rewritten(/redis_version:\d+\.\d+\.\d+/, "redis_version:6.2.0"),
      await rewritten(/redis_version:\d+\.\d+\.\d+/, "redis_version:next"),
      await rewritten(/redis_version/, "xxxxx_version"),
    ]);
    expect(found).toEqual([[], [], []]);
  });

  it("warns of an eviction policy that is unknown, and of a server that hides who it is", async () => {
    const found = await findingsOfEach([
      await rewritten(/maxmemory_policy:/, "xxxmemory_policy:"),
      await rewritten(/run_id:/, "xxx_id:"),
    ]);
    // Whose guard names a server that is not known by the name.
    const hidden = ["warning run-id-hidden 0", "warning quarantined 0"];
    expect(found).toEqual([["warning eviction 0"], hidden]);
  });

  it("finds a server that is listed twice, by two names of one host or through a proxy", async () => {
    const byName = locks.urls[0]!.replace("127.0.0.1", "localhost");
    const [byProxy] = await rewritten(/x^/, "");
    const [first, second] = locks.urls;
    const found = await findingsOfEach([
      [first!, second!, byName],
      [first!, second!, byProxy!],
      [first!, byName],
      [byProxy!, first!],
    ]);
    const trio = ["warning duplicate-server 2"];
    const pair = ["fatal no-quorum -", "fatal duplicate-server 1", "warning node-count -"];
    expect(found).toEqual([trio, trio, pair, pair]);
  });

  it("tells a server that is full from one that forbids", async () => {
    const [full] = redisClients(locks);
    await full!.config("SET", "maxmemory", "1");
    try {
      const found = await findings(redlock(locks.urls));
      expect([...new Set(found)]).toEqual(["warning writes-refused 0"]);
    } finally {
      await full!.config("SET", "maxmemory", "0");
    }
  });
});

describe("ready() about what a server keeps", () => {
  const forgetful = useRedisNodes(3, { args: ["--maxmemory-policy", "allkeys-lru"] });

  it("warns of eviction and of missing persistence, on each master", async () => {
    const report = await redlock(forgetful.urls).ready();
    expect(summary(report)).toEqual(
      [0, 1, 2].flatMap((node) => [`warning eviction ${node}`, `warning persistence ${node}`]),
    );
    expect(ofCode("eviction", report)[0]?.found).toBe("maxmemory-policy allkeys-lru");
    expect(ofCode("persistence", report)[0]).toMatchObject({
      found: "no append-only file",
      why: expect.stringContaining("quarantine") as string,
    });
  });

  it("warns of an append-only file that is not written at once, or not known to be", async () => {
    const [relaxed, hidden] = redisClients(locks);
    const rules = ["reset", "on", ">secret", "~*", "&*", "+@all", "-config"];
    await relaxed!.config("SET", "appendfsync", "everysec");
    await hidden!.call("ACL", "SETUSER", "blind", ...rules);
    try {
      const [first, second, third] = locks.urls;
      const nodes = [first!, second!.replace("//", "//blind:secret@"), third!];
      const report = await redlock(nodes).ready();
      expect(report.findings.map(({ code, found }) => `${code}: ${found}`)).toEqual([
        "persistence: appendfsync everysec",
        "persistence: an append-only file; appendfsync is unknown",
      ]);
    } finally {
      await relaxed!.config("SET", "appendfsync", "always");
    }
  });

  it("warns of the quarantine of a master that was restarted, and for how long it lasts", async () => {
    await arm(forgetful.urls);
    await forgetful.restart(1);
    const report = await redlock(forgetful.urls).ready();
    const [quarantined, ...others] = ofCode("quarantined", report);
    expect(others).toEqual([]);
    expect(quarantined).toMatchObject({
      severity: "warning",
      node: `127.0.0.1:${forgetful.ports[1]}`,
    });
    expect(quarantined?.found).toMatch(/^no vote for 2[01] s$/);
    expect(report.nodes[1]?.eligible).toBe(true);
    expect(report.nodes[1]?.quarantine).toBeGreaterThan(15_000);
  });

  it("begins the quarantine of a set that is not trusted, once: to ask again is to come nearer", async () => {
    const remaining = async (): Promise<number[]> => {
      const options = { restartGuard: true, ttl: 600_000 };
      const { nodes } = await redlock(forgetful.urls, options).ready();
      return nodes.map(({ quarantine = NaN }) => quarantine);
    };
    const before = await remaining();
    const after = await remaining();
    for (const [node, left] of after.entries()) {
      expect(left).toBeGreaterThan(500_000);
      expect(left).toBeLessThan(before[node]!);
    }
  });

  it("warns of a recent restart where neither guard nor disk remember", async () => {
    const options = { restartGuard: false, ttl: 600_000 };
    const [forgetting, keeping] = await Promise.all([
      redlock(forgetful.urls, options).ready(),
      redlock(locks.urls, options).ready(),
    ]);
    expect(ofCode("recent-restart", forgetting)).toHaveLength(3);
    expect(keeping.findings).toEqual([]);
  });
});

describe("ready() about clocks", () => {
  /** A clock of ours that is ahead, or passes faster than the masters'. */
  function oddClock({ ahead = 0, speed = 1 }): Clock {
    const origin = systemClock.now();
    return {
      now: () => origin + (systemClock.now() - origin) * speed,
      wall: () => systemClock.wall() + ahead,
      timer: (ms, run) => systemClock.timer(ms / speed, run),
      clearTimer: (timer) => systemClock.clearTimer(timer),
    };
  }

  it("warns of a clock that differs by more than the drift", async () => {
    const report = await redlock(locks.urls, {}, oddClock({ ahead: 5_000 })).ready();
    expect(summary(report)).toEqual([0, 1, 2].map((node) => `warning clock-skew ${node}`));
    expect(report.findings[0]?.found).toMatch(/^its clock is (49|50)\d\d ms behind ours$/);
  });

  it("refuses clocks that differ by more than a quarter of the retention", async () => {
    const found = await Promise.all(
      [-1_000_000, 1_000_000, 800_000].map(
        async (ahead) => await findings(redlock(locks.urls, {}, oddClock({ ahead }))),
      ),
    );
    const refused = ["fatal no-quorum -", ...[0, 1, 2].map((node) => `fatal clock-off ${node}`)];
    const warned = [0, 1, 2].map((node) => `warning clock-skew ${node}`);
    expect(found).toEqual([refused, refused, warned]);
  });

  it("refuses a clock that stands still", async () => {
    const hasty = redlock(locks.urls, { nodeTimeout: 1_000 }, oddClock({ speed: 4 }));
    const found = await findings(hasty, { timeout: 20_000 });
    expect(found).toEqual(
      expect.arrayContaining([0, 1, 2].map((node) => `fatal clock-frozen ${node}`)),
    );
  });

  it("warns of masters that answer too slowly", async () => {
    const proxy = await TcpProxy.start(locks.ports[0]!);
    onTestFinished(async () => await proxy.stop());
    proxy.replies.pass(30);
    const found = await findings(
      redlock([proxy.url, ...locks.urls.slice(1)], { ttl: 1_000, nodeTimeout: 50 }),
    );
    expect(found).toContain("warning slow 0");
  });
});
