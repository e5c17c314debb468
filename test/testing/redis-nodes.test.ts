import { expect, test } from "vitest";
import { redisClients, useRedisNodes } from "../support/redis.ts";

const nodes = useRedisNodes(3);

test("starts independent servers that answer", async () => {
  const clients = redisClients(nodes);
  await clients[0]!.set("a", "1");
  expect(await Promise.all(clients.map(async (client) => await client.get("a")))).toEqual([
    "1",
    null,
    null,
  ]);
});
