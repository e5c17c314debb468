import { expect, it } from "vitest";
import { Redlock } from "../../src/index.ts";
import { simulate } from "../support/simulated-redlock.ts";

it("leaves no timer when it closes while a master that lost its memory is armed", async () => {
  const { clock, nodes, redlock } = simulate(3, { ttl: 10_000, nodeTimeout: 1_000 });
  nodes[0]!.restart({ empty: true });
  const lock = await clock.until(redlock.acquire("k"));
  await clock.until(lock.release());
  await clock.pass(20);
  await clock.until(redlock.close());
  await clock.pass(5);
  expect(clock.pending).toBe(0);
});

it("leaves no timer when it closes while it begins to hear of turns", async () => {
  const { clock, redlock, client } = simulate(3, { ttl: 10_000 });
  await clock.until(client().acquire("k", { heartbeat: false }));
  const waiting = redlock.acquire("k", { waitTimeout: 5_000 }).catch(() => "closed");
  await clock.pass(50);
  await clock.until(redlock.close());
  await waiting;
  await clock.pass(5);
  // The watchdog of the other client.
  expect(clock.pending).toBe(1);
});

it("leaves no timer when its masters refuse the connection", async () => {
  const redlock = new Redlock({ nodes: [1, 2, 3].map((port) => `redis://127.0.0.1:${port}`) });
  const before = timers();
  await expect(redlock.acquire("k")).rejects.toThrow("ECONNREFUSED");
  await redlock.close();
  // Sockets that are being closed keep a timer until they are.
  await expect.poll(timers, { interval: 5, timeout: 300 }).toHaveLength(before.length);
});

function timers(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind === "Timeout");
}
