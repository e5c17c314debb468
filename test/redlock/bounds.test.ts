import { describe, expect, it } from "vitest";
import {
  LockConflictError,
  LockKeyError,
  LockLostError,
  LockUnavailableError,
} from "../../src/errors.ts";
import { simulate, type Simulation } from "../support/simulated-redlock.ts";

const NODE_TIMEOUT = 50;
const OPTIONS = { ttl: 1_000, nodeTimeout: NODE_TIMEOUT };

type Fault = (simulation: Simulation, node: number) => void;

const faults: Record<string, Fault> = {
  frozen: ({ nodes }, node) => {
    nodes[node]!.behaviour.frozen = true;
  },
  dead: ({ nodes }, node) => {
    nodes[node]!.behaviour.refused = true;
  },
  mute: ({ nodes }, node) => {
    nodes[node]!.behaviour.mute = true;
  },
  "too late": ({ nodes }, node) => {
    nodes[node]!.behaviour.back = 3 * NODE_TIMEOUT;
  },
};

function strike(simulation: Simulation, fault: Fault, count: number): void {
  for (let node = 0; node < count; node++) fault(simulation, node);
}

async function timed<T>(
  { clock }: Simulation,
  promise: Promise<T>,
): Promise<{ ms: number; value?: T; error?: unknown }> {
  const start = clock.now();
  try {
    const value = await clock.until(promise);
    return { ms: clock.now() - start, value };
  } catch (error) {
    return { ms: clock.now() - start, error };
  }
}

describe.each([3, 5])("with %i masters", (count) => {
  const minority = (count - 1) / 2;
  const majority = minority + 1;

  describe.each(Object.keys(faults))("a minority %s", (name) => {
    const fault = faults[name]!;

    it("costs acquire, extend and release not one millisecond", async () => {
      const simulation = simulate(count, OPTIONS);
      strike(simulation, fault, minority);
      const acquired = await timed(simulation, simulation.redlock.acquire("k"));
      expect(acquired.ms).toBe(2);
      const lock = acquired.value!;
      expect((await timed(simulation, lock.extend())).ms).toBe(2);
      const released = await timed(simulation, lock.release());
      expect(released).toEqual({ ms: 2, value: "released" });
    });

    it("after the grant, still leaves the lock held as long as the job runs", async () => {
      const simulation = simulate(count, OPTIONS);
      const lock = await simulation.clock.until(simulation.redlock.acquire("k"));
      strike(simulation, fault, minority);
      await simulation.clock.pass(20_000);
      expect(lock.held).toBe(true);
      expect(lock.signal.aborted).toBe(false);
      expect((await timed(simulation, lock.release())).ms).toBe(2);
    });
  });

  describe.each(Object.keys(faults))("a majority %s", (name) => {
    const fault = faults[name]!;

    it("makes acquire fail within the node timeout, naming each node and its cause", async () => {
      const simulation = simulate(count, OPTIONS);
      strike(simulation, fault, majority);
      const { ms, error } = await timed(simulation, simulation.redlock.acquire("k"));
      expect(ms).toBeLessThanOrEqual(NODE_TIMEOUT);
      expect(error).toBeInstanceOf(LockUnavailableError);
      const { votes } = error as LockUnavailableError;
      expect(votes).toHaveLength(count);
      for (const [node, { vote, cause }] of votes.entries()) {
        if (node >= majority) continue;
        expect(["timed-out", "unreachable"]).toContain(vote);
        expect(cause).toMatch(/no answer within 50 ms|ECONNREFUSED/);
      }
    });

    it("aborts the signal before the lock ends, and settles extend and release in time", async () => {
      const simulation = simulate(count, OPTIONS);
      const { clock } = simulation;
      const lock = await clock.until(simulation.redlock.acquire("k"));
      const validUntil = clock.now() - 1 + 1_000 - 12;
      let abortedAt = 0;
      lock.signal.addEventListener("abort", () => {
        abortedAt = clock.now();
      });
      await clock.pass(100);
      strike(simulation, fault, majority);
      const extended = await timed(simulation, lock.extend());
      expect(extended.ms).toBeLessThanOrEqual(NODE_TIMEOUT);
      expect(extended.error).toBeInstanceOf(LockUnavailableError);
      await clock.pass(5_000);
      if (name === "too late") {
        // What masters confirm late, they confirm: the keys are there, and the lock is kept.
        expect(lock.held).toBe(true);
      } else {
        expect(abortedAt).toBeGreaterThan(0);
        expect(abortedAt).toBeLessThanOrEqual(validUntil - 250);
        expect(lock.signal.reason).toBeInstanceOf(LockLostError);
      }
      const released = await timed(simulation, lock.release());
      expect(released.ms).toBeLessThanOrEqual(NODE_TIMEOUT);
      expect(released.error).toBeUndefined();
    });
  });
});

describe("an acquisition", () => {
  it("leaves nothing on masters that answer after it has failed", async () => {
    const simulation = simulate(3, OPTIONS);
    strike(simulation, faults["frozen"]!, 2);
    const { error } = await timed(simulation, simulation.redlock.acquire("k"));
    expect(error).toBeInstanceOf(LockUnavailableError);
    for (const node of simulation.nodes) node.thaw();
    await simulation.clock.pass(10);
    for (const { master } of simulation.nodes) expect(master.get("redlock:k")).toBeUndefined();
  });

  it("goes again at once with a higher token when its clock is behind", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    const first = await clock.until(redlock.acquire("k"));
    await clock.until(first.release());
    clock.stepWall(-5 * 3_600_000);
    const behind = client();
    const start = clock.now();
    const second = await clock.until(behind.acquire("k"));
    expect(clock.now() - start).toBe(4);
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
    expect(nodes[0]!.sent.filter((name) => name === "acquire")).toHaveLength(3);
  });

  it("ends in endless splits, however many requests of its process wait for the key", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    nodes[2]!.behaviour.frozen = true;
    const contend = (round: number): void => {
      for (const [node, who] of ["x", "y"].entries()) {
        nodes[node]!.master.set("redlock:k", `${7 + round}:${who}${round}:`, 10 * NODE_TIMEOUT);
      }
      clock.timer(NODE_TIMEOUT / 4, () => contend(round + 1));
    };
    contend(0);
    const start = clock.now();
    const attempts = Array.from({ length: 20 }, () => redlock.tryAcquire("k"));
    expect(await clock.until(Promise.all(attempts))).toEqual(Array(20).fill(null));
    // A round and eight more, each after a pause.
    expect(clock.now() - start).toBeLessThanOrEqual(17 * NODE_TIMEOUT);
  });

  it("gives a split back and wins it in place when the other contender yields", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    nodes[0]!.master.set("redlock:k", "7:other:x", 20);
    nodes[1]!.master.set("redlock:k", "8:third:y", 20);
    const lock = await clock.until(redlock.acquire("k"));
    expect(lock.held).toBe(true);
  });

  it("names the holder when a minority of it outlives its contention", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    nodes[0]!.master.set("redlock:k", "7:other:job 12", 60_000);
    nodes[1]!.behaviour.refused = true;
    const start = clock.now();
    const attempt = redlock.acquire("k");
    await expect(clock.until(attempt)).rejects.toThrow(LockConflictError);
    await expect(attempt).rejects.toThrow(/"k" is held by job 12/);
    expect(clock.now() - start).toBeLessThanOrEqual(20 * NODE_TIMEOUT);
    await clock.pass(10);
    expect(nodes[2]!.master.get("redlock:k")).toBeUndefined();
  });

  it("does not take a contender right after a release for a holder that has extended", async () => {
    const { clock, redlock, nodes, client } = simulate(3, OPTIONS);
    const contender = client();
    const before = await clock.until(redlock.acquire("k"));
    await clock.until(before.release());
    clock.stepWall(-3_600_000);
    // Its token is the next one there is: a minority of it must remain a split.
    const next = await clock.until(contender.acquire("k"));
    expect(next.fencingToken).toBe(before.fencingToken + 2);
    for (const node of [1, 2]) nodes[node]!.master.delete("redlock:k");
    const stored = nodes[0]!.master.get("redlock:k")!;
    nodes[0]!.master.set("redlock:k", stored, 20);
    const lock = await clock.until(redlock.acquire("k"));
    expect(lock.held).toBe(true);
  });

  it("does not count two entries that reach one server twice", async () => {
    const { clock, redlock, nodes } = simulate(3, OPTIONS);
    nodes[1]!.server = nodes[0]!.server;
    nodes[2]!.behaviour.refused = true;
    const attempt = redlock.acquire("k");
    await expect(clock.until(attempt)).rejects.toThrow(
      /1 of 3 masters answered.*lock-2:6379 duplicate \(the same server as lock-1:6379\)/,
    );
  });

  it("returns a grant that came too late to be worth anything", async () => {
    const { clock, redlock, nodes } = simulate(3, { ttl: 200, nodeTimeout: 199 });
    for (const { behaviour } of nodes) behaviour.back = 150;
    const attempt = redlock.acquire("k");
    await expect(clock.until(attempt)).rejects.toThrow(
      /0 of 3 masters answered.*timed out \(answered too late for a ttl of 200 ms\)/,
    );
    await clock.pass(1_000);
    for (const { master } of nodes) expect(master.get("redlock:k")).toBeUndefined();
  });

  it("leaves no timer behind", async () => {
    const simulation = simulate(3, OPTIONS);
    const { clock, redlock } = simulation;
    await clock.until(redlock.using("k", () => "done"));
    await clock.pass(NODE_TIMEOUT);
    expect(clock.pending).toBe(0);
  });

  it("takes a reserved key for a mistake", async () => {
    const { clock, redlock } = simulate(3, OPTIONS);
    await expect(clock.until(redlock.acquire("@node"))).rejects.toThrow(LockKeyError);
  });
});
