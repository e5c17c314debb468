import { describe, expect, onTestFinished, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { redisClient } from "../support/redis.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { Gate, next, useBench } from "./support.ts";

const bench = useBench();

describe("a job whose worker loses the masters between the move and the wait list", () => {
  test.each([
    ["long before it would come back by itself", 0],
    ["also when its clock is behind", 60_000],
  ])("is woken by another worker of its queue, %s", async (_, behind) => {
    const queue = bench.queue();
    const held = new Gate();
    const gate = new Gate();
    const holder = withLock({ redlock: bench.redlock({ ttl: 20_000 }), key: "hot" }, async () => {
      held.open();
      await gate.opened;
    });
    const first = bench.worker(holder, { concurrency: 1 });
    await queue.add("charge", 1);
    await held.opened;

    // Later tokens than ours were seen.
    const mark = `${(Date.now() + behind) * 1_000}:0`;
    for (const url of behind === 0 ? [] : bench.masterUrls) {
      await redisClient(url).set("redlock:@fence:hot", mark, "PX", 600_000);
    }

    const proxies = await Promise.all(
      bench.masterUrls.map(async (url) => await TcpProxy.start(Number(new URL(url).port))),
    );
    onTestFinished(async () => {
      await Promise.all(proxies.map((proxy) => proxy.stop()));
    });
    const lonely = bench.redlock({
      nodes: proxies.map(({ url }) => url),
      ttl: 20_000,
    });
    const parked = next(lonely, "parked");
    const second = bench.worker(
      withLock({ redlock: lonely, key: "hot" }, () => Promise.resolve()),
      { concurrency: 1 },
    );
    lonely.once("parked", () => {
      for (const proxy of proxies) {
        proxy.refuse();
        proxy.cut();
      }
      void second.pause(true);
    });
    const waiting = await queue.add("charge", 2);
    expect(await parked).toMatchObject({ reason: "conflict", delay: expect.any(Number) as number });

    const freedAt = performance.now();
    gate.open();
    await expect.poll(() => waiting.isCompleted()).toBe(true);
    expect(performance.now() - freedAt).toBeLessThan(10_000);
    expect(first.isRunning()).toBe(true);
  });
});
