import { setTimeout as delay } from "node:timers/promises";
import { openWarm } from "../clients.ts";
import { CONTENDERS } from "../contenders.ts";
import { ownCpu, serverCpu } from "../cpu.ts";
import type { Scenario } from "../scenario.ts";

/** Milliseconds of one run. */
const DURATION = 2_000;

interface ThroughputGoals {
  /** The least ratio of pairs per second to the lower bound. */
  readonly rate?: number;
  /** The largest ratio of the client's CPU. */
  readonly cpu: number;
}

/**
 * Many tasks, each with a key of its own.
 * @param hold the longest time in ms for which each holds it, at random.
 */
export function throughput(tasks: number, { rate, cpu }: ThroughputGoals, hold = 0): Scenario {
  const holding = hold === 0 ? "" : ` that hold for 0 to ${hold} ms`;
  const title = `${tasks} tasks${holding === "" ? " at once" : holding}, 3 nodes`;
  return {
    name: `throughput-${tasks}${hold === 0 ? "" : "-holding"}`,
    title,
    text: `${tasks} tasks${holding}, each with a key of its own, acquire and release for ${DURATION / 1_000} s a round.`,
    nodes: 3,
    clears: true,
    contenders: Object.keys(CONTENDERS),
    columns: [
      { figure: "rate", title: "pairs/s", digits: 0, ratio: true },
      { figure: "cpu", title: "client CPU, µs a pair", digits: 1, ratio: true },
      { figure: "serverCpu", title: "CPU of all masters, µs a pair", digits: 1, ratio: true },
    ],
    goals: [
      ...(rate === undefined
        ? []
        : [{ text: `${title}: pairs/s`, figure: "rate", ratio: true, least: rate }]),
      { text: `${title}: client CPU a pair`, figure: "cpu", ratio: true, most: cpu },
    ],
    async prepare(contender, urls) {
      const client = await openWarm(contender, urls);
      const run = async (ms: number): Promise<{ pairs: number; seconds: number }> => {
        let pairs = 0;
        const startedAt = performance.now();
        const loops = Array.from({ length: tasks }, async (_, task) => {
          while (performance.now() - startedAt < ms) {
            const release = await client.acquire(`task:${task}`);
            if (hold > 0) await delay(Math.random() * hold);
            await release();
            pairs += 1;
          }
        });
        await Promise.all(loops);
        return { pairs, seconds: (performance.now() - startedAt) / 1_000 };
      };
      await run(DURATION / 2);
      return {
        async run() {
          const masters = await serverCpu(urls);
          const cpu = ownCpu();
          const { pairs, seconds } = await run(DURATION);
          const used = ownCpu() - cpu;
          return {
            rate: pairs / seconds,
            cpu: (used * 1_000) / pairs,
            serverCpu: ((await serverCpu(urls)) - masters) * (1_000 / pairs),
          };
        },
        close: () => client.close(),
      };
    },
  };
}
