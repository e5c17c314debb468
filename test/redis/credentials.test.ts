import { createRequire } from "node:module";
import type * as Ioredis from "ioredis";
import { describe, expect, it, onTestFinished } from "vitest";
import { redisClient, useRedisNodes } from "../support/redis.ts";
import { connect, push } from "./support.ts";

const require = createRequire(import.meta.url);
const ioredis5 = createRequire(require.resolve("bullmq5"))("ioredis") as typeof Ioredis;
const locked = useRedisNodes(1, { args: ["--requirepass", "one"] });

async function changePassword(to: string): Promise<void> {
  const admin = redisClient(locked.urls[0]!, { password: "one" });
  await admin.config("SET", "requirepass", to);
  onTestFinished(async () => void (await admin.config("SET", "requirepass", "one")));
  await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
}

describe("credentials", () => {
  it("are those that the given client has at the time of the connect", async () => {
    const given = redisClient(locked.urls[0]!, { password: "one", lazyConnect: true });
    const { node } = connect(given);
    await push(node, "a");
    given.options.password = "two";
    await changePassword("two");
    await expect.poll(() => push(node, "b").catch(() => 0)).toBeGreaterThan(1);
  });

  it("are those that a client of ioredis 5 has at the time of the connect", async () => {
    const given = new ioredis5.Redis(locked.ports[0]!, { password: "one", lazyConnect: true });
    const { node } = connect(given);
    await push(node, "a");
    given.options.password = "two";
    await changePassword("two");
    await expect.poll(() => push(node, "b").catch(() => 0)).toBeGreaterThan(1);
  });

  it("come from functions, called at each connect", async () => {
    let password = "one";
    const { node } = connect({
      port: locked.ports[0]!,
      username: () => "default",
      password: async () => await Promise.resolve(password),
    });
    await push(node, "a");
    password = "two";
    await changePassword("two");
    await expect.poll(() => push(node, "b").catch(() => 0)).toBeGreaterThan(1);
  });

  it("whose function fails are the cause of a failed attempt, and are read again", async () => {
    let calls = 0;
    const { node, downs } = connect({
      port: locked.ports[0]!,
      password: () => {
        calls += 1;
        if (calls === 1) throw new Error("no token today");
        return calls === 2 ? (42 as unknown as string) : "one";
      },
    });
    await expect(push(node, "a")).rejects.toMatchObject({
      failure: "unreachable",
      message: "password() failed: no token today",
    });
    await expect.poll(() => push(node, "b").catch(() => 0)).toBe(1);
    expect(downs).toEqual([
      "password() failed: no token today",
      "password() gave a number, expected a string",
    ]);
  });
});
