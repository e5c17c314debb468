import { Redlock } from "../../../../dist/index.js";
import { PAIR_TTL } from "../../contender.ts";
import { ownCpu } from "../../cpu.ts";
import type { Scenario } from "../../scenario.ts";
import { percentile } from "../../statistics.ts";

const PAIRS = 500;
const LIMITS = [10, 50, 200];
const TAKEN = { "none taken": 0, "half taken": 0.5, "all taken": 1 } as const;

const ALONE = "limit 1, free";

/** One task that acquires and releases a key with a limit, or is refused. */
export const grant: Scenario = {
  name: "limit-grant",
  title: "A key with a limit",
  text:
    `One task acquires a key and releases it, or is refused where all slots are taken, ${PAIRS} times a round. The other ` +
    "holders are locks of another client.",
  nodes: 3,
  contenders: [
    ALONE,
    ...LIMITS.flatMap((limit) => Object.keys(TAKEN).map((taken) => `limit ${limit}, ${taken}`)),
  ],
  columns: [
    { figure: "p50", title: "p50, µs", digits: 0, ratio: true },
    { figure: "p99", title: "p99, µs", digits: 0 },
    { figure: "rounds", title: "rounds", digits: 2 },
    { figure: "cpu", title: "client CPU, µs", digits: 0 },
  ],
  async prepare(contender, urls) {
    const [, limit = 1, taken = ""] = /^limit (\d+), (.+)$/.exec(contender) ?? [];
    const options = { nodes: [...urls], ttl: PAIR_TTL, restartGuard: "trust-new" } as const;
    const [redlock, other] = [new Redlock(options), new Redlock(options)];
    const key = `limit:${contender}`;
    const share = taken in TAKEN ? TAKEN[taken as keyof typeof TAKEN] : 0;
    for (let slot = 0; slot < Number(limit) * share; slot++) {
      await other.acquire(key, { limit: Number(limit), ttl: PAIR_TTL });
    }
    let rounds = 0;
    redlock.on("acquired", (event) => (rounds += event.rounds));
    const once = async (): Promise<void> => {
      const lock = await redlock.tryAcquire(key, { limit: Number(limit) });
      await lock?.release();
    };
    for (let i = 0; i < PAIRS; i++) await once();
    return {
      async run() {
        const times: number[] = [];
        rounds = 0;
        const cpu = ownCpu();
        for (let i = 0; i < PAIRS; i++) {
          const startedAt = performance.now();
          await once();
          times.push((performance.now() - startedAt) * 1_000);
        }
        return {
          p50: percentile(times, 0.5),
          p99: percentile(times, 0.99),
          rounds: rounds / PAIRS,
          cpu: ((ownCpu() - cpu) * 1_000) / PAIRS,
        };
      },
      async close() {
        await other.close();
        await redlock.close();
      },
    };
  },
};
