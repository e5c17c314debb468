import { afterAll, describe, expect, it } from "vitest";
import { stayInBackground } from "../support/background.ts";
import { load } from "./mutant.ts";
import type * as Run from "./run.ts";
import { SCENARIOS } from "./scenarios.ts";

stayInBackground();

/** The seed of each scenario here; `npm run evidence` runs 13, `npm run soak` more, for a given time. */
const SEED = 0;

const { simulateRun } = await load<typeof Run>("run.ts");

const reports: Run.Report[] = [];

function total(select: (report: Run.Report) => number): number {
  return reports.reduce((sum, report) => sum + select(report), 0);
}

describe("the real client over simulated masters", () => {
  it.each(SCENARIOS)("shows no violation when $name", async (scenario) => {
    const report = await simulateRun(scenario, SEED);
    reports.push(report);
    expect(report.violations, report.examples.join("; ")).toEqual({});
    expect(report.lostUpdates["claim before reading"]).toBe(0);
  });

  it("has been given 6,000 locks, and every kind of fault 60 times", () => {
    expect(total(({ grants }) => grants)).toBeGreaterThan(6_000);
    const kinds = new Set(reports.flatMap(({ faults }) => Object.keys(faults)));
    expect(kinds.size).toBe(17);
    for (const kind of kinds) {
      expect(
        total(({ faults }) => faults[kind] ?? 0),
        kind,
      ).toBeGreaterThan(60);
    }
  });

  it("loses updates without a fencing token, fewer with a check at the write", () => {
    const atTheWrite = total(({ lostUpdates }) => lostUpdates["at the write"]);
    expect(atTheWrite).toBeGreaterThan(0);
    expect(total(({ lostUpdates }) => lostUpdates.none)).toBeGreaterThan(atTheWrite);
    expect(total(({ lostUpdates }) => lostUpdates["claim before reading"])).toBe(0);
  });

  afterAll(() => {
    const kinds = new Set(reports.flatMap(({ faults }) => Object.keys(faults)));
    const counts = [...kinds].map((kind) => `${kind} ${total(({ faults }) => faults[kind] ?? 0)}`);
    process.stdout.write(
      `simulation: ${total(({ grants }) => grants)} grants; faults: ${counts.join(", ")}\n`,
    );
  });
});
