import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { describeEnd } from "../../src/redis/node-error.ts";
import { askNode } from "../../src/redis/node-port.ts";
import type { Operation } from "../../src/redis/operation.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { append, connect, type ConnectedNode, NODE_TIMEOUT, push, pushAll } from "./support.ts";

const servers = useRedisNodes(2, { args: ["--repl-diskless-sync-delay", "0"] });

async function connectThroughProxy(): Promise<ConnectedNode & { proxy: TcpProxy }> {
  const proxy = await TcpProxy.start(servers.ports[0]!);
  onTestFinished(() => proxy.stop());
  const connected = connect(proxy.url);
  await push(connected.node, "first");
  return { ...connected, proxy };
}

async function killClients(type: "normal" | "pubsub" = "normal"): Promise<void> {
  const client = redisClient(servers.urls[0]!);
  await client.call("CLIENT", "KILL", "TYPE", type, "SKIPME", "yes");
}

async function demote(index: number): Promise<void> {
  const client = redisClient(servers.urls[index]!);
  await client.replicaof("127.0.0.1", servers.ports[1 - index]!);
  onTestFinished(async () => void (await client.replicaof("NO", "ONE")));
}

describe("a half-open connection", () => {
  it("is replaced after one missed deadline", async () => {
    const { node, ups, downs, proxy } = await connectThroughProxy();
    proxy.strand();
    await expect(push(node, "lost")).rejects.toMatchObject({ failure: "timed-out" });
    expect(await node.recovers(0)).toBe(true);
    expect(await push(node, "second")).toBe(2);
    expect(ups).toHaveLength(2);
    expect(downs).toEqual([
      `no answer within ${NODE_TIMEOUT} ms, while a new connection was answered`,
    ]);
  });

  it("does not make the master execute a request twice", async () => {
    const { node, proxy } = await connectThroughProxy();
    proxy.strand("replies");
    await expect(push(node, "once")).rejects.toMatchObject({ failure: "timed-out" });
    expect(await node.recovers(0)).toBe(true);
    expect(await push(node, "third")).toBe(3);
    const stored = await redisClient(servers.urls[0]!).lrange("list", 0, -1);
    expect(stored).toEqual(["first", "once", "third"]);
  });

  it("repeats a release on the new connection, before later requests", async () => {
    const release: Operation<{ key: string; value: string }, number> = {
      ...append,
      repeatable: true,
    };
    const { node, proxy } = await connectThroughProxy();
    proxy.strand();
    const lost = askNode(node, release, { key: "list", value: "release" });
    await expect(lost).rejects.toMatchObject({ failure: "timed-out" });
    expect(await node.recovers(0)).toBe(true);
    expect(await push(node, "third")).toBe(3);
    const stored = await redisClient(servers.urls[0]!).lrange("list", 0, -1);
    expect(stored).toEqual(["first", "release", "third"]);
  });

  it("stays if it answers before the new connection does", async () => {
    const { node, ups, downs, proxy } = await connectThroughProxy();
    proxy.replies.hold();
    await expect(push(node, "late")).rejects.toMatchObject({ failure: "timed-out" });
    const recovers = node.recovers(0);
    await expect.poll(() => proxy.connections).toBe(2);
    proxy.replies.pass();
    expect(await recovers).toBe(true);
    expect(await push(node, "third")).toBe(3);
    await expect.poll(() => proxy.connections).toBe(1);
    expect([ups.length, downs]).toEqual([1, []]);
  });

  it("holds requests back while it is suspect, and sends them on the new connection", async () => {
    const { node, proxy } = await connectThroughProxy();
    proxy.strand();
    await expect(push(node, "lost")).rejects.toMatchObject({ failure: "timed-out" });
    expect(await Promise.all([push(node, "a"), push(node, "b")])).toEqual([2, 3]);
  });

  it("is replaced by a third one soon if the second is half open too", async () => {
    const { node, proxy } = await connectThroughProxy();
    proxy.strand();
    proxy.replies.drop();
    const startedAt = performance.now();
    await expect(push(node, "lost")).rejects.toMatchObject({ failure: "timed-out" });
    await expect.poll(() => proxy.connections).toBe(2);
    proxy.strand();
    proxy.replies.pass();

    await expect.poll(() => push(node, "second").catch(() => 0), { timeout: 9_000 }).toBe(2);

    // Not a figure of speed: a connection may be silent for ten seconds.
    expect(performance.now() - startedAt).toBeLessThan(5_000);
  });

  it("for messages is detected and replaced without any request", async () => {
    const { node, proxy } = await connectThroughProxy();
    const heard: string[] = [];
    node.subscribe("news", (message) => heard.push(message));
    const client = redisClient(servers.urls[0]!);
    await expect.poll(() => client.publish("news", "one")).toBe(1);
    proxy.strand();
    await expect
      .poll(async () => {
        await client.publish("news", "two");
        return heard;
      })
      .toContain("two");
  });
});

describe("a connection that the server closes", () => {
  it("loses no request: what was not written waits for the next connection", async () => {
    let lost: (() => void) | undefined;
    // A new connection must be made within it, on a busy machine too.
    const { node } = connect(servers.urls[0]!, () => lost?.(), 10 * NODE_TIMEOUT);
    await push(node, "0");
    for (let i = 1; i <= 20; i++) {
      // After the loss of the old connection, and before there is a new one.
      const pushed = new Promise<number>((resolve) => {
        lost = () => resolve(push(node, `${i}`));
      });
      await killClients();
      expect(await pushed).toBe(i + 1);
    }
  });

  it("is reported as closed by the server, also after long service", async () => {
    const { node, downs } = connect(servers.urls[0]!);
    await push(node, "a");
    await killClients();
    await expect.poll(() => downs).toEqual(["closed by the server"]);
  });

  it.each([
    "Connection is closed.",
    "Stream isn't writeable and enableOfflineQueue options is false",
  ])("is reported as closed by the server when the client says %j", (said) => {
    const stage = { connected: true, served: true, tls: false };
    expect(describeEnd(new Error(said), stage)).toBe("closed by the server");
  });

  it("before the first answer is reported with a hint at TLS", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.resetAndDestroy());
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { node } = connect(`redis://127.0.0.1:${port}`);
    await expect(push(node, "a")).rejects.toMatchObject({
      message:
        "closed before the first answer (ECONNRESET); a server that expects TLS is given as rediss:// or with the option tls",
    });
  });

  it("after a TLS alert is reported as a server that expects TLS", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end(Buffer.from([21, 3, 1, 0, 2, 2, 70])));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { node } = connect(`redis://127.0.0.1:${port}`);
    await expect(push(node, "a")).rejects.toMatchObject({
      message: "the server expects TLS; it is given as rediss:// or with the option tls",
    });
  });

  it("is not reported as expecting TLS when it does not speak the Redis protocol", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const { node } = connect(`redis://127.0.0.1:${port}`);
    await expect(push(node, "a")).rejects.toMatchObject({
      message: "an answer that is not Redis' protocol",
    });
  });

  it("that speaks no TLS is reported as that to a client that does", async () => {
    const { node } = connect(servers.urls[0]!.replace("redis:", "rediss:"));
    await expect(push(node, "a")).rejects.toMatchObject({
      message: expect.stringContaining("speaks no TLS") as string,
    });
  });
});

describe("closing", () => {
  it("does not report the master as down", async () => {
    const { node, downs } = connect(servers.urls[0]!);
    node.subscribe("news", () => {});
    await push(node, "a");
    node.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(downs).toEqual([]);
  });
});

describe("a master that became a replica", () => {
  it("is dropped, with the cause", async () => {
    const { node, downs } = connect(servers.urls[0]!);
    await push(node, "a");
    await demote(0);
    await expect(push(node, "b")).rejects.toMatchObject({
      failure: "unreachable",
      message: expect.stringMatching(/^READONLY .*: it is a replica now$/) as string,
    });
    await expect.poll(() => downs.length).toBeGreaterThan(1);
    expect(downs[0]).toMatch(/it is a replica now$/);
    expect(downs[1]).toBe("a replica, expected a master");
  });

  it("is replaced by the master that its name leads to now", async () => {
    const { node, proxy } = await connectThroughProxy();
    await demote(0);
    proxy.point(servers.ports[1]!);
    await expect(push(node, "a")).rejects.toMatchObject({ failure: "unreachable" });
    expect(await node.recovers(0)).toBe(true);
    expect(await push(node, "b")).toBeGreaterThan(0);
  });
});

describe("many requests at once", () => {
  const HUNDRED = Array.from({ length: 100 }, (_, i) => `${i}`);

  it("are written as the master answers, with deadlines from the writing", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    const batches = Array.from({ length: 400 }, () => pushAll(node, HUNDRED));
    expect(new Set((await Promise.all(batches)).flat()).size).toBe(40_000);
  });

  it("all fail when the master does not answer, also those that were never written", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    servers.pause(0);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 50 }, () => pushAll(node, HUNDRED)),
    );
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(0);
    servers.resume(0);
    expect(await node.recovers(0)).toBe(true);
    // Requests that were never written were never executed either.
    expect(await push(node, "b")).toBeLessThan(2_000);
  });

  it("do not time out because this process was blocked", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    const answer = push(node, "b");
    await new Promise((resolve) => process.nextTick(resolve));
    const until = performance.now() + 2 * NODE_TIMEOUT;
    while (performance.now() < until);
    expect(await answer).toBe(2);
  });
});
