import { readFileSync } from "node:fs";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Clock, systemClock } from "../../src/clock.ts";
import { LockUnavailableError } from "../../src/errors.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import {
  arm,
  closeAll,
  closing,
  findings,
  keysLeft,
  ofCode,
  redlock,
  reportOf,
  sharedNodes,
  summary,
} from "./ready-support.ts";
import { RewritingProxy } from "./rewriting-proxy.ts";

const FOR_LOCKS =
  "eval evalsha info get set del exists pexpire pttl time zadd zrem zrange zcard hget hset hdel".split(
    " ",
  );
const FOR_MESSAGES = ["publish", "subscribe", "unsubscribe"];

/** How Redis and Valkey say it. */
const ALONE = /(?:redis|server)_mode:standalone/;

describe.concurrent("ready(), of masters that stay as they are,", () => {
  const shared = sharedNodes();
  beforeAll(async () => await arm(shared.urls));
  const forgetful = sharedNodes(3, { args: ["--maxmemory-policy", "allkeys-lru"] });
  const cluster = sharedNodes(1, { args: ["--cluster-enabled", "yes"] });

  /** The masters, the first of them behind a proxy that changes its words. */
  async function rewritten(from: RegExp, to: string): Promise<string[]> {
    const proxy = closing(await RewritingProxy.start(shared.ports[0]!, from, to));
    return [proxy.url, ...shared.urls.slice(1)];
  }

  /** Makes a user of this name on each master. */
  async function userUrls(user: string, ...rules: string[]): Promise<string[]> {
    for (const client of shared.clients) {
      await client.call("ACL", "SETUSER", user, "reset", "on", ">secret", ...rules);
    }
    return shared.urls.map((url) => url.replace("//", `//${user}:secret@`));
  }

  async function withoutEach(commands: readonly string[]): Promise<Record<string, string[]>> {
    const sets: string[][] = [];
    for (const command of commands) {
      sets.push(await userUrls(`no-${command}`, "~*", "&*", "+@all", `-${command}`));
    }
    const found = await findingsOfEach(sets);
    return Object.fromEntries(commands.map((command, i) => [command, [...new Set(found[i])]]));
  }

  it("refuses a user without any one command that locks need, and leaves no trace", async ({
    expect,
  }) => {
    const refused = [0, 1, 2].map((node) => `fatal script-refused ${node}`);
    expect(await withoutEach(FOR_LOCKS)).toEqual(
      Object.fromEntries(FOR_LOCKS.map((command) => [command, ["fatal no-quorum -", ...refused]])),
    );
    // What DEL may not delete is left to expire, in a millisecond.
    await expect.poll(async () => await keysLeft(shared.clients, "*@probe*")).toEqual([]);
  });

  it("warns of a user without a command that messages need: waiters poll then", async ({
    expect,
  }) => {
    const warned = [0, 1, 2].map((node) => `warning pubsub-refused ${node}`);
    expect(await withoutEach(FOR_MESSAGES)).toEqual(
      Object.fromEntries(FOR_MESSAGES.map((command) => [command, warned])),
    );
  });

  it("refuses a user of other keys, and warns of one of other channels", async ({ expect }) => {
    const [keys, channels] = await findingsOfEach([
      await userUrls("other-keys", "~other:*", "&*", "+@all"),
      await userUrls("other-channels", "~*", "resetchannels", "&other:*", "+@all"),
    ]);
    expect(keys).toContain("fatal script-refused 0");
    expect(channels).toEqual([0, 1, 2].map((node) => `warning pubsub-refused ${node}`));
  });

  it("names the command that a user may not run, and the keys that it may not access", async ({
    expect,
  }) => {
    const [command, keys] = await Promise.all([
      reportOf(redlock(await userUrls("without-mget", "~*", "&*", "+@all", "-mget"))),
      reportOf(redlock(await userUrls("with-other-keys", "~other:*", "&*", "+@all"))),
    ]);
    for (const { found } of ofCode("script-refused", command))
      expect(found).toMatch(/\(MGET\)$|'mget' command/);
    for (const { found } of ofCode("script-refused", keys)) {
      expect(found).toContain("; its keys begin with redlock:");
      expect(found).not.toMatch(/acquire.*acquire/);
    }
  });

  it("has no findings about the user of docs/ready.md, which can lock and wait", async ({
    expect,
  }) => {
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

  it("warns of a maxTtl unlike the masters', and of servers that hide replication", async ({
    expect,
  }) => {
    const report = await reportOf(redlock(shared.urls, { ttl: 10_000 }));
    expect(summary(report)).toEqual(["warning max-ttl -"]);
    expect(ofCode("max-ttl", report)[0]?.found).toBe("maxTtl 10000 here, 15000 on the masters");
    const hidden = await rewritten(/master_replid:/, "xxxxxx_replid:");
    expect(await findings(redlock(hidden))).toEqual(["warning run-id-hidden 0"]);
  });

  it("refuses a server in cluster mode: its votes do not count either", async ({ expect }) => {
    const [first] = cluster.urls;
    expect(await findings(redlock([first!, ...shared.urls.slice(1)]))).toEqual([
      "fatal cluster-mode 0",
    ]);
    await expect(redlock([first!]).acquire("k")).rejects.toThrow(
      "a server in cluster mode, expected one on its own",
    );
  });

  it.each([
    ["cluster-mode", ALONE, "redis_mode:sentinel", "sentinel mode", "fatal"],
    ["cluster-mode", ALONE, "server_mode:sentinel", "sentinel mode", "fatal"],
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

  it("accepts version 6.2, and one it cannot read", async ({ expect }) => {
    const found = await findingsOfEach([
      await rewritten(/redis_version:\d+\.\d+\.\d+/, "redis_version:6.2.0"),
      await rewritten(/redis_version:\d+\.\d+\.\d+/, "redis_version:next"),
      await rewritten(/redis_version/, "xxxxx_version"),
    ]);
    expect(found).toEqual([[], [], []]);
  });

  it("warns of an eviction policy that is unknown", async ({ expect }) => {
    const nodes = await rewritten(/maxmemory_policy:/, "xxxmemory_policy:");
    expect(await findings(redlock(nodes))).toEqual(["warning eviction 0"]);
  });

  it("finds a server that is listed twice, by two names of one host or through a proxy", async ({
    expect,
  }) => {
    const byName = shared.urls[0]!.replace("127.0.0.1", "localhost");
    const [byProxy] = await rewritten(/x^/, "");
    const [first, second] = shared.urls;
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

  it("warns of eviction and of missing persistence, on each master", async ({ expect }) => {
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

  it("warns of a recent restart where neither guard nor disk remember", async ({ expect }) => {
    const options = { restartGuard: false, ttl: 600_000 };
    const [forgetting, keeping] = await Promise.all([
      redlock(forgetful.urls, options).ready(),
      redlock(shared.urls, options).ready(),
    ]);
    expect(ofCode("recent-restart", forgetting)).toHaveLength(3);
    expect(keeping.findings).toEqual([]);
  });

  it("warns of a clock that differs by more than the drift", async ({ expect }) => {
    const report = await redlock(shared.urls, {}, oddClock({ ahead: 5_000 })).ready();
    expect(summary(report)).toEqual([0, 1, 2].map((node) => `warning clock-skew ${node}`));
    expect(report.findings[0]?.found).toMatch(/^its clock is (49|50)\d\d ms behind ours$/);
  });

  it("refuses clocks that differ by more than a quarter of the retention", async ({ expect }) => {
    const found = await Promise.all(
      [-1_000_000, 1_000_000, 800_000].map(
        async (ahead) => await findings(redlock(shared.urls, {}, oddClock({ ahead }))),
      ),
    );
    const refused = ["fatal no-quorum -", ...[0, 1, 2].map((node) => `fatal clock-off ${node}`)];
    const warned = [0, 1, 2].map((node) => `warning clock-skew ${node}`);
    expect(found).toEqual([refused, refused, warned]);
  });

  it("refuses a clock that stands still", async ({ expect }) => {
    const hasty = redlock(shared.urls, { nodeTimeout: 1_000 }, oddClock({ speed: 4 }));
    const found = await findings(hasty, { timeout: 20_000 });
    expect(found).toEqual(
      expect.arrayContaining([0, 1, 2].map((node) => `fatal clock-frozen ${node}`)),
    );
  });

  it("warns of masters that answer too slowly", async ({ expect }) => {
    const proxy = closing(await TcpProxy.start(shared.ports[0]!));
    proxy.replies.pass(30);
    const found = await findings(
      redlock([proxy.url, ...shared.urls.slice(1)], { ttl: 1_000, nodeTimeout: 50 }),
    );
    expect(found).toContain("warning slow 0");
  });
});

describe("ready(), of masters that change,", () => {
  const locks = useRedisNodes(3, { persistence: "always" });
  beforeEach(async () => await arm(locks.urls));
  afterEach(closeAll);

  const forgetful = useRedisNodes(3);

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

  it("warns of the quarantine of a restarted master, and for how long it lasts", async () => {
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

  it("begins the quarantine of an untrusted set once: each check brings its end nearer", async () => {
    const before = await quarantines(forgetful.urls);
    const after = await quarantines(forgetful.urls);
    for (const [node, left] of after.entries()) {
      expect(left).toBeGreaterThan(500_000);
      expect(left).toBeLessThan(before[node]!);
    }
  });

  it("warns of a server that hides its identity, and takes it for another one", async () => {
    const proxy = closing(await RewritingProxy.start(locks.ports[0]!, /run_id:/, "xxx_id:"));
    const found = await findings(redlock([proxy.url, ...locks.urls.slice(1)]));
    expect(found).toEqual(["warning run-id-hidden 0", "warning quarantined 0"]);
  });

  it("refuses a replica, and warns of a master that has one", async () => {
    const [replica, master] = redisClients(locks);
    await master!.config("SET", "repl-diskless-sync-delay", "0");
    await replica!.replicaof("127.0.0.1", locks.ports[1]!);
    try {
      await expect.poll(async () => await replica!.info("replication")).toContain("link_status:up");
      expect(await findings(redlock(locks.urls))).toEqual([
        "fatal replica 0",
        "warning has-replicas 1",
        // The first replica changes the replication id of its master.
        "warning quarantined 1",
      ]);
    } finally {
      await replica!.replicaof("NO", "ONE");
    }
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

/** The findings of several clients at once: each takes more than a second. */
async function findingsOfEach(sets: readonly string[][]): Promise<string[][]> {
  // So many clients at once: a busy machine may answer late.
  const options = { nodeTimeout: 3_000 };
  return await Promise.all(sets.map(async (nodes) => await findings(redlock(nodes, options))));
}

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

/** How long each master gives no vote to a client with very long locks. */
async function quarantines(nodes: readonly string[]): Promise<number[]> {
  const client = redlock(nodes, { restartGuard: true, ttl: 600_000 });
  const report = await client.ready();
  return report.nodes.map(({ quarantine = NaN }) => quarantine);
}
