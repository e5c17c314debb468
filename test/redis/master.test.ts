import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { askNode } from "../../src/redis/node-port.ts";
import { Batch } from "../../src/redis/batch.ts";
import { Request, type Operation } from "../../src/redis/operation.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { append, connect, push, pushAll } from "./support.ts";

const servers = useRedisNodes(1);

describe("a master", () => {
  it("waits for its first connection, and then executes in order", async () => {
    const { node } = connect(servers.urls[0]!);
    const lengths = await Promise.all(["a", "b", "c"].map((value) => push(node, value)));
    expect(lengths).toEqual([1, 2, 3]);
    const stored = await redisClient(servers.urls[0]!).lrange("list", 0, -1);
    expect(stored).toEqual(["a", "b", "c"]);
  });

  it("executes the requests of a batch in one script call", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "first");
    const client = redisClient(servers.urls[0]!);
    await client.config("RESETSTAT");
    const replies = await pushAll(node, ["a", "fail", "c"]);
    expect(replies).toMatchObject([2, { failure: "refused" }, 3]);
    expect(replies[1]).toMatchObject({
      message: expect.stringContaining("WRONGTYPE") as string,
    });
    const stats = await client.info("commandstats");
    expect(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]).toBe("1");
  });

  it("loads its script again when the server has forgotten it", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    await redisClient(servers.urls[0]!).script("FLUSH");
    expect(await push(node, "b")).toBe(2);
  });

  it("without a server fails at once, with the cause, the first time and later", async () => {
    await servers.kill(0);
    const { node, downs } = connect(servers.urls[0]!);
    const start = systemClock.now();
    const expected = { failure: "unreachable", message: "ECONNREFUSED" };
    await expect(push(node, "a")).rejects.toMatchObject(expected);
    await expect(push(node, "b")).rejects.toMatchObject(expected);
    // No measure of speed: without a deadline it takes seconds, or for ever.
    expect(systemClock.now() - start).toBeLessThan(1_500);
    expect(downs[0]).toBe("ECONNREFUSED");
  });

  it("that hangs from the start delays a prompt request no longer than its deadline", async () => {
    servers.pause(0);
    const { node } = connect(servers.urls[0]!);
    const failed: string[] = [];
    const fail = async (operation: typeof append): Promise<void> => {
      const asked = askNode(node, operation, { key: "list", value: operation.name });
      await expect(asked).rejects.toMatchObject({ failure: "unreachable" });
      failed.push(operation.name);
    };
    await Promise.all([fail(append), fail({ ...append, name: "prompt", prompt: true })]);
    expect(failed).toEqual(["prompt", "append"]);
  });

  it("that hangs misses its deadline, and its answer comes late, once", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    servers.pause(0);
    const late: unknown[] = [];
    const answered = new Promise<void>((resolve) => {
      node.send(new Batch([new Request(append, { key: "list", value: "b" })]), {
        answer: () => expect.unreachable(),
        failure: (error) => {
          expect(error).toMatchObject({ failure: "timed-out" });
          servers.resume(0);
        },
        late: (replies) => {
          late.push(replies?.[0]);
          resolve();
        },
      });
    });
    await answered;
    expect(late).toEqual([2]);
    expect(await push(node, "c")).toBe(3);
  });

  it("is used again when its server returns", async () => {
    const { node, ups } = connect(servers.urls[0]!);
    await push(node, "a");
    await servers.kill(0);
    await expect(push(node, "b")).rejects.toMatchObject({ failure: "unreachable" });
    await servers.restart(0, { empty: true });
    await expect.poll(() => ups.length).toBe(2);
    expect(await push(node, "c")).toBe(1);
  });

  it("never sends a command twice, also when the answer was lost with the connection", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    const client = redisClient(servers.urls[0]!);
    servers.pause(0);
    const lost = push(node, "b");
    await expect(lost).rejects.toMatchObject({ failure: "timed-out" });
    servers.resume(0);
    await client.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await expect.poll(() => push(node, "c").catch(() => 0)).toBeGreaterThan(0);
    const stored = await client.lrange("list", 0, -1);
    expect(stored.filter((value) => value === "b").length).toBeLessThanOrEqual(1);
  });

  it("whose server does not speak Redis fails at once", async () => {
    const server = createServer((socket) => {
      socket.on("error", () => {});
      socket.on("data", () => socket.write("-ERR no such luck\r\n"));
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const { node } = connect(`redis://127.0.0.1:${port}`);
    await expect(push(node, "a")).rejects.toMatchObject({
      failure: "unreachable",
      message: expect.stringContaining("no such luck") as string,
    });
    node.close();
    server.close();
  });

  it("does not fall back to database 0 when its own does not exist", async () => {
    const { node } = connect(`${servers.urls[0]!}/9999`);
    await expect(push(node, "a")).rejects.toMatchObject({
      failure: "unreachable",
      message: expect.stringContaining("out of range") as string,
    });
    expect(await redisClient(servers.urls[0]!).exists("list")).toBe(0);
  });

  it("closes at once, rejects open requests, and is idempotent", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    servers.pause(0);
    const pending = push(node, "b");
    node.close();
    node.close();
    await expect(pending).rejects.toMatchObject({ failure: "unreachable", message: "closed" });
    await expect(push(node, "c")).rejects.toMatchObject({ failure: "unreachable" });
  });

  it("writes requests that were started before it closes", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    push(node, "b").catch(() => {});
    node.close();
    const client = redisClient(servers.urls[0]!);
    await expect.poll(() => client.llen("list")).toBe(2);
  });

  it("writes requests that are started when others fail because it closes", async () => {
    const { node } = connect(servers.urls[0]!);
    await push(node, "a");
    const pending = push(node, "b");
    const answered = new Promise((resolve) => {
      node.send(new Batch([new Request(append, { key: "list", value: "c" })]), {
        answer: resolve,
        failure: () => resolve(push(node, "d").catch(() => "written")),
        late: resolve,
      });
    });
    await new Promise((resolve) => process.nextTick(resolve));
    node.close();
    await expect(pending).rejects.toThrow("closed");
    expect(await answered).toBe("written");
    const client = redisClient(servers.urls[0]!);
    await expect.poll(() => client.lrange("list", 0, -1)).toEqual(["a", "b", "c", "d"]);
  });
});

describe("a repeatable operation", () => {
  const repeatable: Operation<{ key: string; value: string }, number> = {
    ...append,
    repeatable: true,
  };

  it("is executed on the next connection, although its caller has received the failure", async () => {
    const proxy = await TcpProxy.start(servers.ports[0]!);
    onTestFinished(() => proxy.stop());
    const { node } = connect(proxy.url);
    await push(node, "a");
    proxy.requests.hold();
    const written = proxy.requests.next();
    const attempts = Promise.allSettled([
      askNode(node, repeatable, { key: "list", value: "b" }),
      push(node, "c"),
    ]);
    await written;
    proxy.cut();
    proxy.requests.pass();
    expect((await attempts).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    const client = redisClient(servers.urls[0]!);
    await expect.poll(() => client.lrange("list", 0, -1)).toEqual(["a", "b"]);
  });
});

describe("messages", () => {
  it("reach a subscriber, also after a loss of its connection", async () => {
    const { node } = connect(servers.urls[0]!);
    const heard: string[] = [];
    node.subscribe("news", (message) => heard.push(message));
    const client = redisClient(servers.urls[0]!);
    await expect.poll(() => client.publish("news", "one")).toBe(1);
    await expect.poll(() => heard).toContain("one");
    await client.call("CLIENT", "KILL", "TYPE", "pubsub");
    await expect.poll(() => client.publish("news", "two")).toBe(1);
    await expect.poll(() => heard).toContain("two");
    node.close();
    await expect.poll(() => client.publish("news", "three")).toBe(0);
  });
});
