import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as pass } from "node:timers/promises";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Redlock } from "../../src/index.ts";
import { namesUnder } from "../../src/lock/stored-lock.ts";
import { writeRules } from "../config/support.ts";
import { redisClient } from "../support/redis.ts";
import { cli } from "./run-cli.ts";
import { useMasters } from "./use-masters.ts";

const masters = useMasters({ ttl: 3_000 });
const { nodes, ask } = masters;

// The masters trust themselves from then on.
beforeEach(async () => void (await (await masters.redlock.acquire("used before")).release()));

/** The longest ttl that each master that runs knows, and votes for. */
async function ttlsOf(urls: readonly string[]): Promise<string[]> {
  const { guard } = namesUnder("redlock:");
  const guards = await Promise.all(urls.map((url) => redisClient(url).get(guard)));
  return guards.map((value) => value?.split(":").slice(-2).join(":") ?? "none");
}

describe("a command that acquires locks", () => {
  it("keeps to the longest ttl that the clients of the masters use", async () => {
    expect(await ttlsOf(nodes.urls)).toEqual(["3000:3000", "3000:3000", "3000:3000"]);

    const { out } = await ask("doctor");
    const held = await ask("hold", "k", "--for", "1s", "--reason", "a test");

    expect(out).toMatch(/^3 of 3 masters can vote; a lock needs 2\n/);
    expect(out).not.toContain("max-ttl");
    expect(held.code).toBe(0);
    expect(await ttlsOf(nodes.urls)).toEqual(["3000:3000", "3000:3000", "3000:3000"]);
  });

  it("gets the votes that they get, with a master down too", async () => {
    await nodes.kill(0);

    const { code, out } = await ask("doctor");
    const held = await ask("hold", "k", "--for", "1s", "--reason", "a test");

    expect(code).toBe(1);
    expect(out).toMatch(/^2 of 3 masters can vote; a lock needs 2\n/);
    expect(held.code).toBe(0);
  });

  it("tells of the ttl that its rules file gives to workers", async () => {
    await nodes.kill(0);
    const file = await writeRules(`nodes: ${JSON.stringify(nodes.urls)}\nrules: [{ key: a }]\n`);
    const { code, out } = await cli(["doctor", "--config", file]);
    // No ttl in the file: 15 s.
    expect(code).toBe(3);
    expect(out).toContain("no vote for locks of 15000 ms");
  });

  it("leaves the guards as they are when no master has answered in time", async () => {
    for (const index of [0, 1, 2]) nodes.pause(index);
    const asked = ask("doctor", "--timeout", "4s");
    await pass(2_500);
    for (const index of [0, 1, 2]) nodes.resume(index);
    await asked;
    expect(await ttlsOf(nodes.urls)).toEqual(["3000:3000", "3000:3000", "3000:3000"]);
  });

  it("says why a lock of its own ttl gets no vote yet", async () => {
    await nodes.kill(0);
    const longer = new Redlock({ ...nodes.redlockOptions, ttl: 20_000 }).on("warning", () => {});
    onTestFinished(() => longer.close());

    const report = await longer.ready();

    expect(report.nodes.map(({ votes }) => votes)).toEqual([false, false, false]);
    const codes = report.findings.map(({ code }) => code);
    expect(codes).toContain("max-ttl");
    expect(codes).not.toContain("quarantined");
  });
});

describe("doctor", () => {
  it("names a cause of refused writes once, with what it keeps the master from", async () => {
    await redisClient(nodes.urls[0]!).config("SET", "maxmemory", "1");
    onTestFinished(
      async () => void (await redisClient(nodes.urls[0]!).config("SET", "maxmemory", "0")),
    );

    const { out } = await ask("doctor");

    expect(out.match(/writes-refused/g)).toHaveLength(1);
    expect(out).toContain("arm, join, cancel, due: OOM");
  });

  it("takes a master that is full of clients as unreachable, and so does ready()", async () => {
    const client = redisClient(nodes.urls[0]!);
    await client.config("SET", "maxclients", "1");
    onTestFinished(async () => void (await client.config("SET", "maxclients", "1000")));
    // No room is left for another client.
    const refused = connect(nodes.ports[0]!).resume();
    await once(refused, "close");

    const { code, out } = await ask("doctor");

    expect(code).toBe(1);
    expect(out).toContain("max number of clients reached");
    expect(out).not.toContain("script-refused");
    const report = await masters.redlock.ready();
    const codes = report.findings.map((finding) => finding.code);
    expect(new Set(codes)).toEqual(new Set(["unreachable", "persistence"]));
  });
});
