import { expect, test } from "vitest";
import { LINK_FAULTS, MASTER_FAULTS, WORKER_FAULTS } from "./schedule.ts";
import { type ChaosOptions, type Report, runChaos } from "./run.ts";
import { summarise, violationsOf } from "./violations.ts";

/** One that has every kind of fault early. Another seed: `CHAOS_SEED=7 npx vitest run test/chaos`. */
const SEED = Number(process.env["CHAOS_SEED"] ?? 3);
const KINDS = Object.keys({ ...MASTER_FAULTS, ...LINK_FAULTS, ...WORKER_FAULTS });
/** Milliseconds: what a run takes on a slow machine, beside its faults. */
const SLACK = 300_000;
/** Most runs until what happens by chance has happened: one is enough on an idle machine. */
const TRIES = 5;

async function run(options: Omit<ChaosOptions, "seed">, seed = SEED): Promise<Report> {
  const report = await runChaos({ ...options, seed });
  process.stdout.write(`${summarise(report)}\n`);
  return report;
}

test(
  "a key has one holder at a time, with growing tokens, whatever happens",
  async () => {
    const report = await run({ contender: "bullmq-redlock", ms: 20_000 });

    expect(violationsOf(report), report.examples.join("; ")).toEqual({});
    // Some 200 on an idle machine.
    expect(report.grants).toBeGreaterThan(10);
    expect(Object.keys(report.faults).sort()).toEqual(KINDS.sort());
  },
  20_000 + SLACK,
);

test(
  "jobs of a queue run one at a time per key, and all of them are done in the end",
  async () => {
    const report = await run({ contender: "bullmq-redlock", ms: 14_000, jobs: true });

    expect(violationsOf(report), report.examples.join("; ")).toEqual({});
    expect(report.jobs?.completed).toBe(report.jobs?.added);
    expect(report.jobs?.added).toBeGreaterThan(50);
  },
  14_000 + SLACK,
);

test(
  "without the guard, masters that lost their memory serve a second holder: seen",
  async () => {
    const options = { ms: 8_000, sweepEvery: 1_000, calms: false };
    let overlaps = 0;
    for (let seed = SEED; overlaps === 0 && seed < SEED + TRIES; seed++) {
      const report = await run(
        { contender: "bullmq-redlock, restartGuard: false", ...options },
        seed,
      );
      ({ overlaps } = report);
    }

    expect(overlaps).toBeGreaterThan(0);
  },
  TRIES * 8_000 + SLACK,
);

test(
  "without a lock, many use the resource at once, and late writes land: it is seen",
  async () => {
    const report = await run({ contender: "no lock", ms: 2_000, calms: false });

    expect(report.overlaps).toBeGreaterThan(0);
    expect(report.landed).toBeGreaterThan(0);
  },
  2_000 + SLACK,
);
