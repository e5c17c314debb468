import { expect, test } from "vitest";
import { runChaos } from "./run.ts";
import { summarise, violationsOf } from "./violations.ts";

/** Another seed: `CHAOS_SEED=7 npx vitest run test/chaos`. */
const SEED = Number(process.env["CHAOS_SEED"] ?? 1);
/** Milliseconds of faults. */
const DURATION = 60_000;

test(
  "a key has one holder at a time, with growing tokens, whatever happens to masters, network and processes",
  async () => {
    const report = await runChaos({ contender: "bullmq-redlock", seed: SEED, ms: DURATION });

    process.stdout.write(`${summarise(report)}\n`);
    expect(violationsOf(report), report.examples.join("; ")).toEqual({});
    expect(report.grants).toBeGreaterThan(100);
    expect(Object.keys(report.faults)).toHaveLength(18);
  },
  3 * DURATION,
);

test("without the guard, masters that lost their memory give a key to a second holder: it is seen", async () => {
  const report = await runChaos({
    contender: "bullmq-redlock, restartGuard: false",
    seed: SEED,
    ms: 20_000,
    sweepEvery: 1_000,
  });

  process.stdout.write(`${summarise(report)}\n`);
  expect(report.overlaps).toBeGreaterThan(0);
}, 120_000);

test("without a lock, many use the resource at once, and late writes land: it is seen", async () => {
  const report = await runChaos({ contender: "no lock", seed: SEED, ms: 2_000 });

  process.stdout.write(`${summarise(report)}\n`);
  expect(report.overlaps).toBeGreaterThan(100);
  expect(report.landed).toBeGreaterThan(10);
}, 60_000);
