import type { Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { LockUnavailableError } from "../../src/errors.ts";
import { Redlock } from "../../src/redlock/redlock.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { waitFor } from "../support/wait-for.ts";

const GUARD = "redlock:@node";
/** Where no server listens: a master that one client cannot reach. */
const NOWHERE = "redis://127.0.0.1:1";

// Three lock masters, and a server for copies of the first one.
const nodes = useRedisNodes(4, {
  persistence: "always",
  args: ["--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"],
});

const opened: Redlock[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map(async (redlock) => await redlock.close()));
});

/** A client of the three masters that reaches only those that are named. */
function connect({ reaches = [0, 1, 2], ttl = 30_000 } = {}): Redlock {
  const urls = [0, 1, 2].map((index) => (reaches.includes(index) ? nodes.urls[index]! : NOWHERE));
  const redlock = new Redlock({ nodes: urls, ttl, nodeTimeout: 1_000, restartGuard: "trust-new" });
  opened.push(redlock.on("warning", () => {}));
  return redlock;
}

/** Makes a server a replica of another, and resolves when it has its data. */
async function follow(replica: Redis, master: number): Promise<void> {
  await replica.replicaof("127.0.0.1", nodes.ports[master]!);
  await waitFor(
    async () => expect(await replica.info("replication")).toContain("master_link_status:up"),
    { interval: 20 },
  );
}

async function promote(replica: Redis): Promise<void> {
  await replica.replicaof("NO", "ONE");
}

async function runIdOf(server: Redis): Promise<string | undefined> {
  return /run_id:(\w+)/.exec(await server.info("server"))?.[1];
}

/** Lets the quarantine of a master that is sure of the longest ttl end now. */
async function endQuarantine(master: Redis): Promise<void> {
  const guard = await master.get(GUARD);
  expect(guard).toContain(":sure:");
  await master.set(GUARD, guard!.replace(/^([^:]+:sure:\d+):\d+:/, "$1:0:"));
}

describe("a master that follows its own copy and is promoted again", () => {
  it("has no vote for a second holder, though its process and connections are the same", async () => {
    const [a, , , copy] = redisClients(nodes);
    await connect().using("first use", () => {});
    await follow(copy!, 0);
    // The first replica of a master changes its replication id, which costs a quarantine: it is not what is tried here.
    await connect().using("begins the quarantine", () => {});
    await waitFor(async () => await endQuarantine(a!));
    await promote(copy!);
    const lock = await connect({ reaches: [0, 1] }).acquire("k");
    const runId = await runIdOf(a!);
    await follow(a!, 3);
    await promote(a!);
    expect(await runIdOf(a!)).toBe(runId);
    expect(await a!.get("redlock:k")).toBeNull();

    await expect(connect({ reaches: [0, 2] }).acquire("k")).rejects.toThrow(LockUnavailableError);
    expect(lock.held).toBe(true);
  });
});

describe("the guard of a master names it no longer", () => {
  it.each<[string, (a: Redis, copy: Redis) => Promise<void>]>([
    ["after a restart with its data", async () => await nodes.restart(0, { empty: false })],
    ["after a restart without data", async () => await nodes.restart(0, { empty: true })],
    [
      "when it was a replica that never reached its master",
      async (a) => {
        await a.replicaof("127.0.0.1", 1);
        await promote(a);
      },
    ],
    [
      "when a replica was promoted in its place, after a full resynchronisation",
      async (a, copy) => {
        await copy.flushall();
        await follow(a, 3);
        await promote(a);
      },
    ],
    [
      "when a replica was promoted in its place, after a partial resynchronisation",
      async (a, copy) => {
        await follow(a, 3);
        const full = await syncs(copy, "sync_full");
        await copy.call("CLIENT", "KILL", "TYPE", "replica");
        await waitFor(async () => expect(await syncs(copy, "sync_partial_ok")).toBeGreaterThan(0), {
          interval: 20,
        });
        expect(await syncs(copy, "sync_full")).toBe(full);
        await promote(a);
      },
    ],
    // Harmless, and not to be told from the others afterwards.
    ["when its first replica attaches", async (_, copy) => await follow(copy, 0)],
    [
      "when its last replica is gone for repl-backlog-ttl",
      async (a, copy) => {
        await follow(copy, 0);
        await connect().using("begins the quarantine", () => {});
        await waitFor(async () => await endQuarantine(a));
        await a.config("SET", "repl-backlog-ttl", "1");
        await promote(copy);
        await waitFor(
          async () => expect(await a.info("replication")).toContain("repl_backlog_active:0"),
          { interval: 100 },
        );
      },
    ],
  ])("%s: it gives no vote until a quarantine is over", async (_, happen) => {
    const [a, , , copy] = redisClients(nodes);
    // Without what replicas of earlier tests have left behind.
    await Promise.all([0, 3].map(async (index) => await nodes.restart(index, { empty: true })));
    await connect().using("first use", () => {});
    await happen(a!, copy!);

    const redlock = connect();
    const voteOfFirst = async () => (await redlock.inspect("k")).nodes[0];
    await waitFor(async () => expect(await voteOfFirst()).toMatchObject({ vote: "unarmed" }));
    await redlock.using("begins the quarantine", () => {});
    await waitFor(async () => expect(await voteOfFirst()).toMatchObject({ vote: "quarantined" }));
    await endQuarantine(a!);
    expect(await voteOfFirst()).toMatchObject({ vote: "yes" });
  });
});

describe("a master that becomes a replica", () => {
  it.each(["yes", "no"])(
    "gives no vote to connections that it has, with replica-read-only %s",
    async (readOnly) => {
      const [a] = redisClients(nodes);
      await connect().using("first use", () => {});
      const redlock = connect({ reaches: [0, 1] });
      await redlock.using("connects", () => {});
      await a!.config("SET", "replica-read-only", readOnly);
      await a!.replicaof("127.0.0.1", 1);
      try {
        const failure = await redlock.acquire("k").catch((error: unknown) => error);
        expect(failure).toMatchObject({
          votes: [
            {
              vote: "unreachable",
              cause: expect.stringMatching(/^READONLY this server is a replica/) as string,
            },
            { vote: "free" },
            { vote: "unreachable" },
          ],
        });
        expect(await a!.exists("redlock:k")).toBe(0);
      } finally {
        await a!.config("SET", "replica-read-only", "yes");
        await promote(a!);
      }
    },
  );
});

async function syncs(server: Redis, kind: "sync_full" | "sync_partial_ok"): Promise<number> {
  return Number(new RegExp(`${kind}:(\\d+)`).exec(await server.info("stats"))?.[1]);
}
