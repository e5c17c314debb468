import { setTimeout as delay } from "node:timers/promises";
import { openWarm, pair } from "../clients.ts";
import { CONTENDERS } from "../contenders.ts";
import type { Figures, Phase, Scenario, Subject } from "../scenario.ts";
import { percentile } from "../statistics.ts";

/** Most pairs of one run. */
const PAIRS = 600;
/** Milliseconds after which a run that has not done them ends. */
const PATIENCE = 4_000;

const HEALTHY: Phase = { name: "healthy", enter: () => {}, leave: () => {} };

/** Masters stopped with SIGSTOP: their connections stay open, nothing is answered. */
export const hung: Scenario = {
  ...faults("hung", "Hung nodes of 5", "are stopped (SIGSTOP) and go on after the run"),
  phases: [HEALTHY, ...[1, 2].map(stopping)],
};

/** Masters killed with SIGKILL: connections are refused. They stay dead, hence one round. */
export const dead: Scenario = {
  ...faults("dead", "Dead nodes of 5", "are killed (SIGKILL)"),
  rounds: 1,
  phases: [HEALTHY, killing(0), killing(1)],
};

function faults(name: string, title: string, what: string): Omit<Scenario, "phases"> {
  const phase = (count: number): string => `${count} ${name}`;
  return {
    name,
    title,
    text:
      `One pair after the other, ${PAIRS} a run or for ${PATIENCE / 1_000} s, first with five healthy nodes; then one and two ` +
      `${what}. The ratios are to the same library's own p50 with healthy nodes; "never": not one pair came to an end.`,
    nodes: 5,
    contenders: Object.keys(CONTENDERS),
    columns: [
      { figure: "healthy p50", title: "healthy, p50 µs", digits: 0 },
      ...[1, 2].flatMap((count) => [
        { figure: `${phase(count)} p50`, title: `${phase(count)}, p50 µs`, digits: 0 },
        { figure: `${phase(count)} ratio`, title: `${phase(count)} / healthy`, digits: 2 },
      ]),
    ],
    goals: [1, 2].map((count) => ({
      text: `${phase(count)} of 5 nodes: p50 / healthy p50`,
      figure: `${phase(count)} ratio`,
      most: 1.1,
    })),
    prepare: prepareFaults,
  };
}

async function prepareFaults(contender: string, urls: readonly string[]): Promise<Subject> {
  const client = await openWarm(contender, urls);
  let healthy = Number.NaN;
  let run = 0;
  return {
    async run(phase): Promise<Figures> {
      // What hung in the run before must not stand in the way of this one.
      const key = `faults:${run++}`;
      const p50 = percentile(await pairsWithin((times) => collect(times, key)), 0.5);
      if (phase === "healthy") healthy = p50;
      const result = Number.isNaN(p50) ? Infinity : p50;
      return { [`${phase} p50`]: result, [`${phase} ratio`]: result / healthy };
    },
    close: () => client.close(),
  };

  async function collect(times: number[], key: string): Promise<void> {
    const startedAt = performance.now();
    for (let i = 0; i < PAIRS && performance.now() - startedAt < PATIENCE; i++) {
      const askedAt = performance.now();
      await pair(client, key);
      times.push((performance.now() - askedAt) * 1_000);
    }
  }
}

/** What was collected when the time is over, whatever hangs. */
async function pairsWithin(collect: (times: number[]) => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  const patience = new AbortController();
  // A pair that fails ends the run, too: what it had done counts.
  const collected = collect(times).catch(() => {});
  await Promise.race([
    collected,
    delay(PATIENCE, undefined, { signal: patience.signal }).catch(() => {}),
  ]);
  patience.abort();
  return [...times];
}

function stopping(count: number): Phase {
  return {
    name: `${count} hung`,
    enter: (nodes) => {
      for (let node = 0; node < count; node++) nodes.pause(node);
    },
    leave: async (nodes) => {
      for (let node = 0; node < count; node++) nodes.resume(node);
      await delay(500);
    },
  };
}

function killing(node: number): Phase {
  return {
    name: `${node + 1} dead`,
    enter: async (nodes) => {
      if (nodes.isRunning(node)) await nodes.kill(node);
    },
    leave: () => {},
  };
}
