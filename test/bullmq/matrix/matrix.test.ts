import { describe, test } from "vitest";
import { useRedisNodes } from "../../support/redis.ts";
import { useBench } from "../support.ts";
import { contend, queueUp } from "./contend.ts";
import { type Lane, nodeRedisLane, oldestLane, redisLane } from "./lane.ts";

const bench = useBench();
const elsewhere = useRedisNodes(1);

/** Ways to have queues; those of one row share their keys. */
const arrangements: { name: string; open: () => Lane[] | Promise<Lane[]> }[] = [
  { name: "BullMQ 6 on Redis", open: () => [redisLane(bench.queueUrl)] },
  { name: "a prefix of its own", open: () => [redisLane(bench.queueUrl, { prefix: "my:app" })] },
  { name: "node-redis", open: async () => [await nodeRedisLane(bench.queueUrl)] },
  { name: "BullMQ 5.72", open: () => [oldestLane(bench.queueUrl)] },
  {
    name: "two queues on one Redis",
    open: () => [redisLane(bench.queueUrl), redisLane(bench.queueUrl, { name: "refunds" })],
  },
  {
    name: "two queues on a Redis each",
    open: () => [redisLane(bench.queueUrl), redisLane(elsewhere.urls[0]!)],
  },
  {
    name: "BullMQ 5.72 beside BullMQ 6",
    open: () => [redisLane(bench.queueUrl), oldestLane(elsewhere.urls[0]!)],
  },
];

describe.each(arrangements)("with $name", ({ open }) => {
  test("jobs on one key run one at a time, in one attempt, and keep their priorities", async () => {
    await contend(bench.redlock(), await open());
  });

  test("jobs that wait for one key get it by priority, then in order of arrival", async () => {
    await queueUp(bench.redlock(), (await open())[0]!);
  });
});
