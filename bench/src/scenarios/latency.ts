import { openWarm, pair } from "../clients.ts";
import { CONTENDERS } from "../contenders.ts";
import { ownCpu } from "../cpu.ts";
import type { Scenario } from "../scenario.ts";
import { percentile } from "../statistics.ts";

/** Pairs in one run. */
const PAIRS = 1_500;

/**
 * One task: acquire a free key, release it, again and again.
 * @param most the goal for the ratio to the lower bound. With a single master there is no quorum to win time by, and no goal.
 */
export function latency(
  nodes: number,
  { oneCore, most }: { oneCore?: true; most?: number } = {},
): Scenario {
  const where = oneCore ? ", all on one core" : "";
  const title = `One pair after the other, ${nodes} ${nodes === 1 ? "node" : "nodes"}${where}`;
  return {
    name: `latency-${nodes}${oneCore ? "-one-core" : ""}`,
    title,
    text: `One task acquires a free key and releases it, ${PAIRS.toLocaleString("en")} times a round.`,
    nodes,
    clears: true,
    ...(oneCore && { oneCore }),
    contenders: Object.keys(CONTENDERS),
    columns: [
      { figure: "p50", title: "p50, µs", digits: 0, ratio: true },
      { figure: "p99", title: "p99, µs", digits: 0, ratio: true },
      { figure: "cpu", title: "client CPU, µs a pair", digits: 0 },
    ],
    ...(most && { goals: [{ text: `${title}: p50`, figure: "p50", ratio: true, most }] }),
    async prepare(contender, urls) {
      const client = await openWarm(contender, urls);
      return {
        async run() {
          const times: number[] = [];
          const cpu = ownCpu();
          for (let i = 0; i < PAIRS; i++) {
            const startedAt = performance.now();
            await pair(client, "latency");
            times.push((performance.now() - startedAt) * 1_000);
          }
          return {
            p50: percentile(times, 0.5),
            p99: percentile(times, 0.99),
            cpu: ((ownCpu() - cpu) * 1_000) / PAIRS,
          };
        },
        close: () => client.close(),
      };
    },
  };
}
