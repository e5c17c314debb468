import { setTimeout as delay } from "node:timers/promises";
import { openWarm } from "../clients.ts";
import { CONTENDERS } from "../contenders.ts";
import { ownCpu } from "../cpu.ts";
import type { Scenario } from "../scenario.ts";
import { mean } from "../statistics.ts";

/** Tasks that want the same key. */
const TASKS = 50;
/** How often each task gets it in a run. */
const TURNS = 8;
/** Milliseconds for which a task holds it. */
const HOLD_TIME = 5;

/** Many tasks, one key: closed loops, each task waits, holds, releases, and waits again. */
export function contended(instances: number): Scenario {
  return {
    name: `contended-${instances}`,
    title: `One contended key, ${instances === 1 ? "one instance" : `${instances} instances`}, 3 nodes`,
    text:
      `${TASKS} tasks on ${instances} client${instances === 1 ? "" : "s"} want the same key ${TURNS} times each, and hold it ` +
      `for ${HOLD_TIME} ms. Fairness is the longest wait divided by the mean wait, without the first and the last turn of each task.`,
    nodes: 3,
    rounds: 3,
    contenders: Object.keys(CONTENDERS),
    columns: [
      { figure: "makespan", title: "makespan, ms", digits: 0, ratio: true },
      { figure: "fairness", title: "longest / mean wait", digits: 2 },
      { figure: "cpu", title: "client CPU, ms", digits: 0, ratio: true },
    ],
    goals: [
      {
        text: `Contended key, ${instances} instance(s): makespan`,
        figure: "makespan",
        ratio: true,
        most: 1,
      },
      {
        text: `Contended key, ${instances} instance(s): longest / mean wait`,
        figure: "fairness",
        most: 1.5,
      },
    ],
    async prepare(contender, urls) {
      const clients = await Promise.all(
        Array.from({ length: instances }, () => openWarm(contender, urls)),
      );
      return {
        async run() {
          const waits: number[] = [];
          const startedAt = performance.now();
          const cpu = ownCpu();
          const tasks = Array.from({ length: TASKS }, async (_, task) => {
            const client = clients[task % clients.length];
            if (client === undefined) return;
            for (let turn = 0; turn < TURNS; turn++) {
              const askedAt = performance.now();
              const release = await client.waitFor("contended");
              if (turn > 0 && turn < TURNS - 1) waits.push(performance.now() - askedAt);
              await delay(HOLD_TIME);
              await release();
            }
          });
          await Promise.all(tasks);
          return {
            makespan: performance.now() - startedAt,
            fairness: Math.max(...waits) / mean(waits),
            cpu: ownCpu() - cpu,
          };
        },
        async close() {
          await Promise.all(clients.map((client) => client.close()));
        },
      };
    },
  };
}
