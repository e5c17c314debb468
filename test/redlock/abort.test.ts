import { engineOf } from "../../src/redlock/redlock.ts";
import { describe, expect, it } from "vitest";
import { LockUnavailableError } from "../../src/errors.ts";
import { positionOf } from "../../src/waiters/waiter.ts";
import { type Simulation, simulate } from "../support/simulated-redlock.ts";

const OPTIONS = { ttl: 10_000, nodeTimeout: 500 };

/** What is in the way of an acquisition, by the outcome that it would have. */
const OBSTACLES: readonly [string, (simulation: Simulation) => Promise<void>][] = [
  ["an outage", async ({ nodes }) => nodes.forEach(({ behaviour }) => (behaviour.frozen = true))],
  [
    "a conflict",
    async ({ clock, client }) => {
      await clock.until(client().acquire("k"));
    },
  ],
  [
    "the lock of another program",
    async ({ nodes }) => nodes.forEach(({ master }) => master.set("redlock:k", "x", Infinity)),
  ],
  ["a grant", async () => {}],
];

describe("an abort comes before every other outcome of an acquisition", () => {
  it.each(OBSTACLES)("at once, and leaves nothing behind: %s", async (_, prepare) => {
    const simulation = simulate(3, OPTIONS);
    const { clock, nodes, redlock } = simulation;
    await prepare(simulation);
    const before = nodes.map(({ master }) => master.get("redlock:k"));
    for (const { behaviour } of nodes) behaviour.back = 50;
    const mine = new Error("mine");
    const controller = new AbortController();
    const acquiring = redlock.acquire("k", { signal: controller.signal });
    const settled = acquiring.catch((error: unknown) => ({ error, at: clock.now() }));
    await clock.pass(10);
    const at = clock.now();
    controller.abort(mine);
    await clock.pass(0);

    expect(await settled).toEqual({ error: mine, at });
    for (const node of nodes) node.thaw();
    await clock.pass(1_000);
    expect(nodes.map(({ master }) => master.get("redlock:k"))).toEqual(before);
    await clock.until(redlock.close());
  });

  it("is not asked for again, though the next request would have had a larger token", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    // Masters that know of a token from the future: a client that is wanted asks again at once.
    for (const { master } of nodes) master.set("redlock:@fence:k", "9000000000000000:0", Infinity);
    const controller = new AbortController();
    const acquiring = redlock.acquire("k", { signal: controller.signal });
    controller.abort("mine");

    await expect(acquiring).rejects.toBe("mine");
    await clock.pass(1_000);
    expect(nodes[0]!.sent.filter((name) => name === "acquire")).toHaveLength(1);
  });

  it("does not end what another has asked for at the same time", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    for (const { behaviour } of nodes) behaviour.frozen = true;
    const controller = new AbortController();
    const given = redlock.acquire("k", { signal: controller.signal });
    const other = redlock.acquire("k");
    controller.abort("mine");

    await expect(given).rejects.toBe("mine");
    await expect(clock.until(other)).rejects.toBeInstanceOf(LockUnavailableError);
  });

  it("is waited for by close(): what it left is given back before the masters are left", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    for (const { behaviour } of nodes) behaviour.back = 50;
    const controller = new AbortController();
    const acquiring = redlock.acquire("k", { signal: controller.signal });
    await clock.pass(10);
    controller.abort("mine");
    await expect(acquiring).rejects.toBe("mine");
    expect(nodes[0]!.master.get("redlock:k")).toBeDefined();

    await clock.until(redlock.close());
    expect(nodes.map(({ master }) => master.get("redlock:k"))).toEqual(nodes.map(() => undefined));
  });

  it("also where a waiter is behind a job that was cancelled", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    for (const { behaviour } of nodes) behaviour.frozen = true;
    const controller = new AbortController();
    const waiter = {
      position: positionOf(1, "q", "1"),
      priority: 0,
      queueId: "q",
      run: 1,
      replaceable: false,
    };
    const acquiring = engineOf(redlock).acquire(["k"], {}, true, {
      waiter,
      joins: true,
      job: { queueName: "q" },
      cancel: controller.signal,
    });
    controller.abort("mine");
    const ended = expect(acquiring).rejects.toBe("mine");
    // The attempt that is under way ends first: its masters hang.
    await clock.pass(1_000);
    await ended;
  });
});
