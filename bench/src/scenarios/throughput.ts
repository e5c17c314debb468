import { openWarm, pair } from "../clients.ts";
import { CONTENDERS } from "../contenders.ts";
import { ownCpu, serverCpu } from "../cpu.ts";
import type { Scenario } from "../scenario.ts";

/** Milliseconds of one run. */
const DURATION = 2_000;

/** Many tasks, each with a key of its own. */
export function throughput(tasks: number, { rate, cpu }: { rate: number; cpu: number }): Scenario {
  return {
    name: `throughput-${tasks}`,
    title: `${tasks} tasks at once, 3 nodes`,
    text: `${tasks} tasks, each with a key of its own, acquire and release for ${DURATION / 1_000} s a round.`,
    nodes: 3,
    contenders: Object.keys(CONTENDERS),
    columns: [
      { figure: "rate", title: "pairs/s", digits: 0, ratio: true },
      { figure: "cpu", title: "client CPU, µs a pair", digits: 1, ratio: true },
      { figure: "serverCpu", title: "CPU of all masters, µs a pair", digits: 1, ratio: true },
    ],
    goals: [
      { text: `${tasks} tasks, 3 nodes: pairs/s`, figure: "rate", ratio: true, least: rate },
      { text: `${tasks} tasks, 3 nodes: client CPU a pair`, figure: "cpu", ratio: true, most: cpu },
    ],
    async prepare(contender, urls) {
      const client = await openWarm(contender, urls);
      const run = async (ms: number): Promise<{ pairs: number; seconds: number }> => {
        let pairs = 0;
        const startedAt = performance.now();
        const loops = Array.from({ length: tasks }, async (_, task) => {
          while (performance.now() - startedAt < ms) {
            await pair(client, `task:${task}`);
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
