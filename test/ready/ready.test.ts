import { readFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { Redis } from "ioredis";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { LockConfigError, RedlockClosedError } from "../../src/errors.ts";
import { FINDINGS } from "../../src/ready/findings.ts";
import type { ReadyOptions } from "../../src/ready/ready.ts";
import { NotReadyError } from "../../src/ready/report.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import {
  arm,
  closeAll,
  findings,
  keysLeft,
  redlock,
  reportOf,
  sharedNodes,
  summary,
} from "../redlock/ready-support.ts";

describe.concurrent("ready()", () => {
  const shared = sharedNodes();
  beforeAll(async () => await arm(shared.urls));
  const elsewhere = sharedNodes(1);

  it("disturbs no lock that is held", async ({ expect }) => {
    // All tests of this file begin at once.
    const client = redlock(shared.urls, { ttl: 3_000, nodeTimeout: 1_000 });
    const lock = await client.acquire("k");
    await Promise.all([client.ready(), client.ready()]);
    expect(lock.held).toBe(true);
    expect(await lock.release()).toBe("released");
  });

  it("throws a NotReadyError that names every fatal finding and carries the report", async ({
    expect,
  }) => {
    const client = redlock(["redis://127.0.0.1:1", "redis://127.0.0.1:2", shared.urls[0]!]);
    const error: unknown = await client.ready().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NotReadyError);
    const { code, message, report } = error as NotReadyError;
    expect(code).toBe("ERR_REDLOCK_NOT_READY");
    expect(message).toContain("no-quorum: 1 of 3 masters can vote, a lock needs 2");
    expect(message).toContain("unreachable (127.0.0.1:1): ECONNREFUSED");
    expect(message).toContain("unreachable (127.0.0.1:2): ECONNREFUSED");
    expect(summary(report)).toEqual([
      "fatal no-quorum -",
      "fatal unreachable 0",
      "fatal unreachable 1",
    ]);
    for (const { found, why, advice } of report.findings) {
      expect([found, why, advice].every((text) => text.length > 10)).toBe(true);
    }
  });

  it("makes every warning fatal with strict: true", async ({ expect }) => {
    const client = redlock(shared.urls.slice(0, 2));
    expect(summary(await client.ready())).toEqual(["warning node-count -"]);
    await expect(client.ready({ strict: true })).rejects.toThrow("node-count: 2 lock masters");
  });

  it("refuses options it does not know, and bounds the time", async ({ expect }) => {
    const client = redlock(shared.urls);
    await expect(client.ready({ stric: true } as ReadyOptions)).rejects.toThrow('"strict"?');
    for (const timeout of [0, 1_999, 60_001, NaN]) {
      await expect(client.ready({ timeout })).rejects.toBeInstanceOf(LockConfigError);
    }
    await expect(client.ready({ strict: 1 } as unknown as ReadyOptions)).rejects.toThrow("strict");
    await expect(client.ready({ queue: 7 as unknown as string })).rejects.toThrow("queue");
  });

  it("rejects when the Redlock is closed, before or meanwhile", async ({ expect }) => {
    const client = redlock(shared.urls);
    const ready = client.ready();
    await client.close();
    await expect(ready).rejects.toBeInstanceOf(RedlockClosedError);
    await expect(client.ready()).rejects.toBeInstanceOf(RedlockClosedError);
  });

  it("warns of an unreachable minority, with the cause", async ({ expect }) => {
    const report = await redlock([...shared.urls.slice(0, 2), "redis://127.0.0.1:1"]).ready();
    expect(report.findings.find(({ code }) => code === "unreachable")).toMatchObject({
      severity: "warning",
      node: "127.0.0.1:1",
      found: "ECONNREFUSED",
    });
    expect(report.nodes.map(({ eligible }) => eligible)).toEqual([true, true, false]);
  });

  it("is done in time when masters accept connections and never say a word", async ({ expect }) => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    try {
      const url = `redis://127.0.0.1:${(silent.address() as AddressInfo).port}`;
      const startedAt = performance.now();
      const patient = redlock([url], { ttl: 600_000, nodeTimeout: 30_000 });
      const found = await findings(patient, { timeout: 2_000, queue: url });
      expect(performance.now() - startedAt).toBeLessThan(2_500);
      expect(found).toEqual([
        "fatal no-quorum -",
        "fatal unreachable 0",
        "warning queue-unknown -",
        "warning node-count -",
      ]);
    } finally {
      silent.close();
    }
  });

  it.each([
    ["redis", "HTTP/1.1 400 Bad Request\r\n\r\n", /^an answer that is not Redis' protocol$/],
    ["redis", "\u0015\u0003\u0001\u0000\u0002\u0002\n", /^the server expects TLS; it is given as/],
    ["rediss", "", /^no TLS connection \(a server that speaks no TLS .*\) within 1000 ms$/],
  ])("names a port that is no master of %s://, which says %j", async (scheme, says, message) => {
    const other = createServer((socket) => {
      socket.on("error", () => undefined);
      if (says !== "") socket.once("data", () => socket.write(says));
    }).listen(0, "127.0.0.1");
    await once(other, "listening");
    try {
      const url = `${scheme}://127.0.0.1:${(other.address() as AddressInfo).port}`;
      const { findings: found } = await reportOf(redlock([url]), { timeout: 2_000 });
      expect(found.find(({ code }) => code === "unreachable")?.found).toMatch(message);
    } finally {
      other.close();
    }
  });

  it("names a wrong password as the cause", async ({ expect }) => {
    const [first, ...others] = shared.urls;
    const { findings: found } = await reportOf(
      redlock([first!.replace("//", "//nobody:wrong@"), ...others]),
    );
    expect(found).toMatchObject([
      { code: "unreachable", found: expect.stringContaining("WRONGPASS") as string },
    ]);
  });

  it("finds the queue's Redis among the masters by URL, options, client and alias", async ({
    expect,
  }) => {
    const port = shared.ports[1]!;
    const existing = new Redis({ port, lazyConnect: true });
    const queues = [
      shared.urls[1]!,
      { host: "localhost", port },
      { url: shared.urls[1]!, maxRetriesPerRequest: null },
      existing,
    ];
    const client = redlock(shared.urls.slice(0, 3));
    const found = await Promise.all(queues.map(async (queue) => await findings(client, { queue })));
    for (const each of found) expect(each).toEqual(["warning queue-server 1"]);
    expect(existing.status).toBe("wait");
  });

  it("says nothing of a queue elsewhere, and says when it can not know", async ({ expect }) => {
    const client = redlock(shared.urls.slice(0, 3));
    expect(await findings(client, { queue: elsewhere.urls[0]! })).toEqual([]);
    const { findings: found } = await client.ready({ queue: "redis://127.0.0.1:1" });
    expect(found).toMatchObject([{ code: "queue-unknown", found: "127.0.0.1:1: ECONNREFUSED" }]);
  });
});

describe("ready() of five masters", () => {
  const locks = useRedisNodes(5, { persistence: "always" });
  afterEach(closeAll);

  it("finds nothing where nothing is wrong, and leaves nothing but the guards", async () => {
    const report = await redlock(locks.urls).ready();
    expect(report.findings).toEqual([]);
    expect(report.quorum).toBe(3);
    expect(report.nodes.map(({ eligible }) => eligible)).toEqual(Array(5).fill(true));
    const [first] = report.nodes;
    expect(first).toMatchObject({ node: `127.0.0.1:${locks.ports[0]}`, quarantine: undefined });
    expect(first?.server).toMatch(/^(Redis|Valkey) \d/);
    expect(first?.roundTrip).toBeGreaterThan(0);
    expect(Math.abs(first?.clockOffset ?? Infinity)).toBeLessThan(1_000);
    expect(await keysLeft(redisClients(locks), "*")).toEqual([]);
  });

  it("has connected: the first lock after it takes no longer than a round trip or two", async () => {
    const client = redlock(locks.urls);
    await client.ready({ strict: true });
    const connections = await Promise.all(
      redisClients(locks).map(async (each) => await each.client("LIST")),
    );
    // Ours, and the one that asks; no probe is left.
    for (const list of connections) expect(String(list).trim().split("\n")).toHaveLength(2);
    await (await client.acquire("k")).release();
  });

  it.each([
    ["a minority", 1, "warning"],
    ["a majority", 2, "fatal"],
  ])("is done in time when %s is frozen", async (_, frozen, severity) => {
    for (let node = 0; node < frozen; node++) locks.pause(node);
    const startedAt = performance.now();
    const { findings: found } = await reportOf(redlock(locks.urls.slice(0, 3)), { timeout: 4_000 });
    expect(performance.now() - startedAt).toBeLessThan(4_500);
    const unreachable = found.filter(({ code }) => code === "unreachable");
    expect(unreachable).toHaveLength(frozen);
    for (const each of unreachable) {
      expect(each).toMatchObject({ severity, found: "no answer within 1000 ms" });
    }
  });
});

describe("docs/ready.md", () => {
  const page = readFileSync(new URL("../../docs/ready.md", import.meta.url), "utf8");

  it("shows every finding: code, severity, why it matters, what to do", () => {
    const rows = page
      .split("\n")
      .filter((line) => line.startsWith("| `"))
      .map((line) => line.split("|").map((cell) => cell.trim()))
      .filter((cells) => cells.length === 6)
      .map(([, code = "", ...rest]) => [code.replaceAll("`", ""), ...rest.slice(0, 3)]);
    expect(rows).toEqual(
      Object.entries(FINDINGS).map(([code, { weight, why, advice }]) => [
        code,
        weight,
        why,
        advice,
      ]),
    );
  });
});
