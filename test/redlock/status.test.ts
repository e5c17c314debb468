import { expect, it } from "vitest";
import { Redlock } from "../../src/index.ts";
import { untilFreeEverywhere } from "../hazards/support.ts";
import { redisClient, redisClients, useRedisNodes } from "../support/redis.ts";

const nodes = useRedisNodes(3);

it("reports an outage of masters that hang as soon as an answer is overdue", async () => {
  await using redlock = new Redlock({ ...nodes.redlockOptions, nodeTimeout: 500 });
  await (await redlock.acquire("a")).release();
  nodes.pause(0);
  nodes.pause(1);
  await expect(redlock.acquire("a")).rejects.toMatchObject({ code: "ERR_REDLOCK_UNAVAILABLE" });
  expect(redlock.status()).toMatchObject({
    ok: false,
    voting: 1,
    nodes: [
      { votes: false, cause: "no answer within 500 ms" },
      { votes: false, cause: "no answer within 500 ms" },
      { votes: true, cause: undefined },
    ],
  });
  nodes.resume(0);
  nodes.resume(1);
  await expect.poll(() => redlock.status().ok).toBe(true);
});

it("reports masters that were never reached once a first connection is overdue", async () => {
  nodes.pause(0);
  nodes.pause(1);
  await using redlock = new Redlock({ ...nodes.redlockOptions, nodeTimeout: 500 });
  expect(redlock.status().ok).toBe(true);
  await expect(redlock.acquire("a")).rejects.toMatchObject({ code: "ERR_REDLOCK_UNAVAILABLE" });
  const hung = { state: "unknown", votes: false, cause: "no answer to the first command" };
  expect(redlock.status()).toMatchObject({ ok: false, nodes: [hung, hung, {}] });
  nodes.resume(0);
  nodes.resume(1);
  await expect.poll(() => redlock.status().ok).toBe(true);
});

it("reports masters that refuse to write, until one votes again", async () => {
  await using redlock = new Redlock(nodes.redlockOptions);
  await (await redlock.acquire("a")).release();
  await untilFreeEverywhere(redisClients(nodes), "a");
  const refuses = async (replicas: number): Promise<void> => {
    for (const url of nodes.urls.slice(0, 2)) {
      await redisClient(url).config("SET", "min-replicas-to-write", String(replicas));
    }
  };
  await refuses(1);
  await expect(redlock.acquire("a")).rejects.toMatchObject({ code: "ERR_REDLOCK_UNAVAILABLE" });
  const refusing = { votes: false, cause: expect.stringContaining("NOREPLICAS") };
  expect(redlock.status()).toMatchObject({ ok: false, voting: 1, nodes: [refusing, refusing, {}] });
  await refuses(0);
  // A grant waits for two of them.
  await expect
    .poll(async () => {
      await (await redlock.acquire("b")).release();
      return redlock.status().voting;
    })
    .toBe(3);
});

it("counts a lost lock as held no longer, though it was not released", async () => {
  await using redlock = new Redlock(nodes.redlockOptions);
  const lock = await redlock.acquire("a");
  expect(redlock.status().held).toBe(1);
  await redlock.forceRelease("a", { reason: "a test" });
  await expect(lock.extend()).rejects.toMatchObject({ code: "ERR_REDLOCK_LOST" });
  expect(redlock.status().held).toBe(0);
  expect(await lock.release()).toBe("expired");
});
