import { describe, expect, it } from "vitest";
import { LockUnavailableError } from "../../src/errors.ts";
import type { RedlockWarning } from "../../src/events.ts";
import { simulate, type Simulation } from "../support/simulated-redlock.ts";

const OPTIONS = { ttl: 1_000, nodeTimeout: 50, clockSkewBudget: 500 };
/** 1000 * 1.02 + 50 + 500 */
const QUARANTINE = 1_570;

function forget({ nodes }: Simulation): void {
  for (const { master } of nodes) master.wipe();
}

/** A holds with the votes of masters 1 and 2, because 3 is out of reach; then 1 loses its memory. */
async function secondHolder(
  lose: (simulation: Simulation) => void,
  options: Parameters<typeof simulate>[1],
): Promise<{ simulation: Simulation; first: boolean; second: boolean }> {
  const simulation = simulate(3, options);
  const { clock, nodes, redlock, client } = simulation;
  nodes[2]!.behaviour.refused = true;
  const lock = await clock.until(redlock.acquire("k", { heartbeat: false }));
  lose(simulation);
  nodes[2]!.behaviour.refused = false;
  nodes[1]!.behaviour.refused = true;
  let second = false;
  client()
    .acquire("k")
    .then(
      () => (second = true),
      () => {},
    );
  await clock.pass(400);
  return { simulation, first: lock.held, second };
}

/** "held", or why it was not. */
async function use({ clock, redlock }: Simulation): Promise<unknown> {
  return await clock.until(redlock.using("k", () => "held").catch((error: unknown) => error));
}

/** Milliseconds until a lock is granted again, in steps. */
async function recovery(simulation: Simulation): Promise<number> {
  const start = simulation.clock.now();
  while ((await use(simulation)) !== "held") await simulation.clock.pass(50);
  return simulation.clock.now() - start;
}

describe("a master that lost its memory", () => {
  it.each<[string, (simulation: Simulation) => void]>([
    ["restarted empty", ({ nodes }) => nodes[0]!.restart({ empty: true })],
    ["flushed", ({ nodes }) => nodes[0]!.master.wipe()],
    [
      "restarted with an old copy",
      ({ nodes }) => {
        nodes[0]!.restart({ empty: false });
        nodes[0]!.master.delete("redlock:k");
      },
    ],
    [
      "failed over to its copy and back",
      ({ nodes }) => {
        const copy = new Map(nodes[0]!.master.snapshot());
        copy.delete("redlock:k");
        nodes[0]!.master.follow(copy);
        nodes[0]!.master.promote();
      },
    ],
  ])("%s, makes no second holder; without the guard it does", async (_, lose) => {
    expect(await secondHolder(lose, OPTIONS)).toMatchObject({ first: true, second: false });
    expect(await secondHolder(lose, { ...OPTIONS, restartGuard: false })).toMatchObject({
      first: true,
      second: true,
    });
  });

  it("votes again after the quarantine, and not before", async () => {
    const simulation = simulate(3, OPTIONS);
    const { clock, nodes, redlock } = simulation;
    const quarantined: unknown[] = [];
    const warnings: unknown[] = [];
    redlock.on("node:quarantined", (event) => quarantined.push(event));
    redlock.on("warning", (warning) => warnings.push(warning));
    nodes[0]!.restart({ empty: true });
    nodes[2]!.behaviour.refused = true;
    const ask = (): Promise<unknown> => clock.until(redlock.using("k", () => "held"));
    // Another client might just be arming a new set: it is given the time for that.
    await expect(ask()).rejects.toThrow(/unarmed|quarantined/);
    await clock.pass(100);
    await expect(ask()).rejects.toThrow(
      /lock-1:6379 quarantined \(new, or lost its memory; votes in/,
    );
    expect(quarantined).toHaveLength(1);
    expect(quarantined[0]).toMatchObject({ node: "lock-1:6379" });
    // The others would be a quorum.
    expect(warnings).toEqual([]);
    await clock.pass(QUARANTINE - 300);
    await expect(ask()).rejects.toThrow(LockUnavailableError);
    await clock.pass(300);
    expect(await ask()).toBe("held");
  });

  it("leaves the others' locks alone: jobs go on with the quorum of the rest", async () => {
    const simulation = simulate(3, OPTIONS);
    const { clock, nodes, redlock } = simulation;
    const lock = await clock.until(redlock.acquire("k"));
    nodes[0]!.restart({ empty: true });
    for (let i = 0; i < 50; i++) {
      await clock.pass(100);
      expect(lock.held).toBe(true);
      expect(await clock.until(redlock.using(`other-${i}`, () => "held"))).toBe("held");
    }
  });

  it("that kept our key still vouches for it", async () => {
    const simulation = simulate(3, OPTIONS);
    const { clock, nodes, redlock } = simulation;
    const lock = await clock.until(redlock.acquire("k"));
    nodes[2]!.behaviour.refused = true;
    nodes[0]!.restart({ empty: false });
    await clock.pass(5_000);
    expect(lock.held).toBe(true);
  });

  it("vouches for a lock granted in its quarantine once that is over", async () => {
    const simulation = simulate(3, OPTIONS);
    const { clock, nodes, redlock } = simulation;
    nodes[0]!.restart({ empty: true });
    await clock.until(redlock.using("warm", () => {}));
    await clock.pass(150);
    await clock.until(redlock.using("warm", () => {}));
    await clock.pass(10);
    const lock = await clock.until(redlock.acquire("k"));
    await clock.pass(10);
    expect(nodes[0]!.master.get("redlock:k")).toMatch(/^q/);
    await clock.pass(QUARANTINE + 400);
    expect(nodes[0]!.master.get("redlock:k")).toMatch(/^\d/);
    nodes[1]!.behaviour.refused = true;
    await clock.pass(5_000);
    expect(lock.held).toBe(true);
  });
});

describe("a key that is missing on a master", () => {
  it("is set again by the heartbeat of its holder", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    nodes[0]!.master.delete("redlock:k");
    await clock.pass(400);
    expect(nodes[0]!.master.get("redlock:k")).toContain(String(lock.fencingToken));
  });

  it("is not set again after the release, though an extend comes late", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    // The extend is on its way to master 1 for longer than the release.
    nodes[0]!.behaviour.there = 40;
    void lock.extend();
    await clock.pass(5);
    nodes[0]!.behaviour.there = 1;
    await clock.until(lock.release());
    await clock.pass(100);
    for (const { master } of nodes) expect(master.get("redlock:k")).toBeUndefined();
  });

  it("does not bring a lock back whose deadline has passed", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    await clock.pass(300);
    // Extends are executed, and answered when the lock is over.
    for (const { behaviour } of nodes) behaviour.back = 3_000;
    await clock.pass(10_000);
    expect(lock.held).toBe(false);
    expect(lock.signal.aborted).toBe(true);
  });

  it("is not set again without a guard: the master may have voted for somebody since", async () => {
    const { clock, nodes, redlock } = simulate(3, { ...OPTIONS, restartGuard: false });
    await clock.until(redlock.acquire("k"));
    nodes[0]!.master.delete("redlock:k");
    await clock.pass(400);
    expect(nodes[0]!.master.get("redlock:k")).toBeUndefined();
  });
});

describe("a key that is missing in a quarantine", () => {
  it("is no vote: another client may be winning with the vote of before", async () => {
    const { clock, nodes, redlock, client } = simulate(3, { ...OPTIONS, nodeTimeout: 300 });
    nodes[2]!.behaviour.refused = true;
    const first = await clock.until(redlock.acquire("k", { heartbeat: false }));
    nodes[2]!.behaviour.refused = false;
    await clock.pass(725);
    // The second client's request reaches master 3 at once, and master 2 when the first one's key has just expired.
    nodes[1]!.behaviour.there = 278;
    const second = client().acquire("k");
    await clock.pass(3);
    nodes[2]!.restart({ empty: true });
    nodes[1]!.behaviour.refused = true;
    const extended = first.extend().catch((error: unknown) => error);
    const rival = await clock.until(second);
    expect(rival.held).toBe(true);
    expect(first.held).toBe(false);
    expect(await extended).toBeInstanceOf(Error);
  });
});

describe("a long job", () => {
  it("keeps its lock over empty restarts of all masters, one after the other", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    for (const node of nodes) {
      node.restart({ empty: true });
      // Until the next heartbeat arms it, its quarantine is over, and the next heartbeat heals it.
      await clock.pass(QUARANTINE + 1_500);
      expect(lock.held).toBe(true);
      expect(node.master.get("redlock:k")).toContain(String(lock.fencingToken));
    }
  });

  it("loses it when a majority forgets at the same time, before another can have it", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    const lock = await clock.until(redlock.acquire("k"));
    const deadline = clock.now() + 1_000;
    nodes[0]!.restart({ empty: true });
    nodes[1]!.restart({ empty: true });
    await clock.pass(1_500);
    expect(lock.signal.aborted).toBe(true);
    expect(clock.now()).toBeGreaterThan(deadline);
  });
});

describe("a wholly new set of masters", () => {
  it("is trusted at once when all have been up for the quarantine", async () => {
    const simulation = simulate(3, OPTIONS);
    forget(simulation);
    const { clock, redlock } = simulation;
    const start = clock.now();
    expect(await clock.until(redlock.using("k", () => "held"))).toBe("held");
    // A refusal, three steps to a guard that all agree on, and the lock.
    expect(clock.now() - start).toBeLessThan(15);
  });

  it("waits out the quarantine when one has been up for less, and says so", async () => {
    const simulation = simulate(3, OPTIONS);
    forget(simulation);
    const { clock, nodes, redlock } = simulation;
    nodes[1]!.upFor = 1_000;
    const quarantined: { remaining: number }[] = [];
    const warnings: RedlockWarning[] = [];
    redlock.on("node:quarantined", (event) => quarantined.push(event));
    redlock.on("warning", (warning) => warnings.push(warning));
    const ask = (): Promise<unknown> => clock.until(redlock.acquire("k"));
    await expect(ask()).rejects.toThrow(/0 of 3 masters voted within .* quarantined/);
    await clock.pass(1_000);
    await expect(ask()).rejects.toThrow(/quarantined/);
    expect(warnings.map(({ code }) => code)).toEqual(["no-quorum"]);
    expect(warnings[0]?.message).toMatch(
      /^locks are unavailable for \d+ s: \d of 3 masters \(lock-1:6379, lock-2:6379.*\) are new/,
    );
    expect(quarantined.map(({ remaining }) => remaining)).toEqual([
      QUARANTINE - 4,
      QUARANTINE - 4,
      QUARANTINE - 4,
    ]);
    await clock.pass(QUARANTINE - 1_000);
    expect(await clock.until(redlock.using("k", () => "held"))).toBe("held");
  });

  it("is no new set for a client that has met their guards: all were flushed", async () => {
    for (const restartGuard of [true, "trust-new"] as const) {
      const simulation = simulate(3, { ...OPTIONS, restartGuard });
      const { clock, redlock } = simulation;
      const lock = await clock.until(redlock.acquire("k", { heartbeat: false }));
      forget(simulation);
      await expect(clock.until(redlock.acquire("k"))).rejects.toThrow(/quarantined/);
      await clock.pass(QUARANTINE);
      expect(lock.held).toBe(false);
      expect(await clock.until(redlock.using("k", () => "held"))).toBe("held");
    }
  });

  it('is trusted whatever its uptime with "trust-new"', async () => {
    const simulation = simulate(3, { ...OPTIONS, restartGuard: "trust-new" });
    forget(simulation);
    const { clock, nodes, redlock } = simulation;
    for (const node of nodes) node.upFor = 0;
    expect(await clock.until(redlock.using("k", () => "held"))).toBe("held");
  });

  it("is not taken for a flushed one when several clients meet it at the same time", async () => {
    const simulation = simulate(5, OPTIONS);
    forget(simulation);
    const { clock, nodes, client } = simulation;
    for (const [node, { behaviour }] of nodes.entries()) behaviour.there = 1 + 3 * node;
    const results = await clock.until(
      Promise.all(
        Array.from({ length: 8 }, async (_, i) => {
          await new Promise<void>((resolve) => {
            clock.timer(2 * i, resolve);
          });
          return client().using(`k${i}`, () => "held");
        }),
      ),
    );
    expect(results).toEqual(Array.from({ length: 8 }, () => "held"));
    const ready = nodes.map(({ master }) => master.get("redlock:@node")?.split(":")[3]);
    expect(ready).toEqual(["0", "0", "0", "0", "0"]);
  });
});

describe("the longest ttl that a guard knows", () => {
  it("grows with the client that needs more, and its quarantine covers that", async () => {
    const simulation = simulate(3, OPTIONS);
    forget(simulation);
    const { clock, nodes, redlock } = simulation;
    await clock.until(redlock.using("k", () => {}));
    const patient = simulate(3, { ...OPTIONS, ttl: 20_000 });
    // The same masters, seen by a client with longer locks.
    patient.nodes.splice(0, 3, ...nodes);
    const client = patient.client();
    expect(nodes[0]!.master.get("redlock:@node")).toMatch(/:1000$/);
    const longer = client.using("long", () => "held");
    await clock.pass(100);
    expect(await longer).toBe("held");
    expect(nodes[0]!.master.get("redlock:@node")).toMatch(/:20000:20000$/);
  });
});

describe("a client with longer locks than the masters know of", () => {
  it("has to wait until all masters know of it, and says why; shorter locks go on", async () => {
    const { clock, nodes, redlock } = simulate(3, { ...OPTIONS, maxTtl: 20_000 });
    for (const { master, server } of nodes) master.setArmed("redlock:@node", server, 1_000);
    const warnings: RedlockWarning[] = [];
    redlock.on("warning", (warning) => warnings.push(warning));
    nodes[2]!.behaviour.frozen = true;
    await expect(clock.until(redlock.acquire("k", { ttl: 20_000 }))).rejects.toThrow(
      /lock-1:6379 unarmed \(not all masters know of so long a ttl yet/,
    );
    expect(await clock.until(redlock.using("k", () => "held"))).toBe("held");
    nodes[2]!.thaw();
    expect(await clock.until(redlock.using("k", { ttl: 20_000 }, () => "held"))).toBe("held");
    expect(warnings.filter(({ code }) => code === "max-ttl").map(({ message }) => message)).toEqual(
      [expect.stringMatching(/^maxTtl is 20000 ms here, and the masters know of 1000 ms/)],
    );
  });
});

describe("masters that have forgotten how long locks can be", () => {
  it("learn it from one that has not, while another is down for good", async () => {
    const simulation = simulate(3, OPTIONS);
    const { nodes } = simulation;
    await use(simulation);
    nodes[0]!.behaviour.refused = true;
    nodes[1]!.restart({ empty: true });
    expect(await recovery(simulation)).toBeLessThan(QUARANTINE + 200);
  });

  it("agree anew when all have: the quarantine is as long as ever", async () => {
    for (const empty of [true, false]) {
      const simulation = simulate(3, OPTIONS);
      for (const node of simulation.nodes) node.restart({ empty });
      expect(await recovery(simulation)).toBeLessThan(QUARANTINE + 200);
    }
  });

  it("wait for a silent one, and say so; an empty server in its place ends the wait", async () => {
    const simulation = simulate(3, OPTIONS);
    const { clock, nodes, redlock } = simulation;
    const warnings: RedlockWarning[] = [];
    redlock.on("warning", (warning) => warnings.push(warning));
    nodes[0]!.behaviour.refused = true;
    nodes[1]!.restart({ empty: true });
    nodes[2]!.restart({ empty: true });
    await use(simulation);
    for (let i = 0; i < 5; i++) {
      expect(String(await use(simulation))).toMatch(/no master has reported yet/);
      await clock.pass(QUARANTINE);
    }
    expect(warnings.map(({ code, message }) => `${code}: ${message}`)).toEqual([
      expect.stringMatching(/^longest-ttl-unknown: .*they wait for lock-1:6379, at most 31 min/),
    ]);
    nodes[0]!.behaviour.refused = false;
    nodes[0]!.restart({ empty: true });
    // Their own quarantines are long over.
    expect(await use(simulation)).toBe("held");
  });

  it("wait no longer than the longest lock that there can be", async () => {
    const simulation = simulate(3, OPTIONS);
    const { clock, nodes } = simulation;
    nodes[0]!.behaviour.refused = true;
    nodes[1]!.restart({ empty: true });
    nodes[2]!.restart({ empty: true });
    await use(simulation);
    await clock.pass(1_800_000 * 1.02);
    expect(await use(simulation)).toBeInstanceOf(LockUnavailableError);
    await clock.pass(1_000);
    expect(await use(simulation)).toBe("held");
  });
});

describe("the guard's options", () => {
  it.each([
    [
      { restartGuard: "yes" },
      /^restartGuard: found "yes", expected one of true, "trust-new", false/,
    ],
    [{ clockSkewBudget: -1 }, /^clockSkewBudget: found -1/],
  ])("refuse %o", (options, message) => {
    expect(() => simulate(3, options as object)).toThrow(message);
  });
});
