import type { Clock } from "../../src/clock.ts";
import type { Random } from "../../src/random.ts";
import type { RedlockOptions } from "../../src/redlock/options.ts";
import { type Redlock, RedlockOn } from "../../src/redlock/redlock.ts";
import { VirtualClock } from "../../src/testing/memory/virtual-clock.ts";
import { SimulatedNode } from "./simulated-node.ts";

/** The real client over simulated masters in virtual time. */
export interface Simulation {
  clock: VirtualClock;
  nodes: SimulatedNode[];
  redlock: Redlock;
  /** Another client of the same masters. */
  readonly client: () => Redlock;
}

/**
 * Builds `count` masters and a client. Nothing runs until the clock is told to pass.
 * @param clockOf the clock of each master, from 0; all have that of the clients by default.
 */
export function simulate(
  count: number,
  options: Omit<RedlockOptions, "nodes"> = {},
  clockOf: (clock: VirtualClock, node: number) => Clock = (clock) => clock,
): Simulation {
  const clock = new VirtualClock();
  const nodes: SimulatedNode[] = [];
  const random = seededRandom(1);
  const longest = options.maxTtl ?? options.ttl ?? 15_000;
  const client = (): Redlock =>
    new RedlockOn(
      { ...options, nodes: Array.from({ length: count }, (_, i) => `redis://lock-${i + 1}:6379`) },
      {
        clock,
        random,
        connect: ({ endpoint, nodeTimeout }) => {
          const known = nodes.find(({ name }) => name === endpoint.name);
          if (known !== undefined) return known;
          const node = new SimulatedNode(
            endpoint.name,
            clock,
            nodeTimeout,
            clockOf(clock, nodes.length),
          );
          // As after the first use of the set: a test of the guard takes it away.
          node.master.setArmed("redlock:@node", node.server, longest);
          nodes.push(node);
          return node;
        },
      },
    ).on("warning", () => {});
  return { clock, nodes, redlock: client(), client };
}

/** Chance that repeats itself (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed;
  let owners = 0;
  return {
    fraction() {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    },
    owner: () => `owner-${(owners += 1)}`,
  };
}
