import { describe, expect, it } from "vitest";
import { stayInBackground } from "../support/background.ts";
import { JOB_PROTECTIONS } from "./jobs/protections.ts";
import { TRIES, weaken } from "./measure.ts";
import { load } from "./mutant.ts";
import { markers, mutate, mutated } from "./mutation.ts";
import { PROTECTIONS } from "./protections.ts";
import type * as Run from "./run.ts";
import { runSeeds } from "./seeds.ts";

stayInBackground();

/** With a protection a run is so many times as long as until the violation was seen without it. */
const ENOUGH = 3;

const code = await load<typeof Run>("run.ts");

describe("a mutation", () => {
  const source = `function f(a: number) {
  const b = a;
  // @protection a bound
  // Why.
  if (a < 0) return g({
    // @protection a flag
    flag: a > 1,
  });
  // @protection the result
  return b;
}`;

  it("changes the value of the marked statement, moves it, or leaves it out", () => {
    expect(mutate(source, { marker: "a bound", value: "true" })).toContain("if (true) return g(");
    expect(mutate(source, { marker: "a flag", value: "!($)" })).toContain("flag: !(a > 1),");
    expect(mutate(source, { marker: "the result", value: "0" })).toContain("return 0;");
    expect(mutate(source, { marker: "the result", value: "0", moveUp: 2 })).toContain(
      "{\n  return 0;const b",
    );
    expect(mutate(source, { marker: "the result" })).not.toContain("return b;");
  });

  it("is refused where nothing that can be changed stands under its marker", () => {
    const nothing = "f();\n// @protection nothing\n";
    expect(() => mutate(nothing, { marker: "nothing" })).toThrow("no statement");
    const call = "// @protection a call\nf();";
    expect(() => mutate(call, { marker: "a call", value: "0" })).toThrow("has no value");
    const first = "// @protection a result\nconst a = 1;";
    expect(() => mutate(first, { marker: "a result", value: "0", moveUp: 1 })).toThrow(
      "no 1 statements",
    );
    expect(() => mutated({ marker: "no such marker" })).toThrow("exactly one");
  });

  it("has one marker in the source, and each marker a mutation", () => {
    const used = [...PROTECTIONS, ...JOB_PROTECTIONS].flatMap(
      ({ mutation }) => mutation?.marker ?? [],
    );
    expect(markers().toSorted()).toEqual([...new Set(used)].toSorted());
  });
});

describe("without", () => {
  it.each(PROTECTIONS)("$name there are violations, with it there are none", async (protection) => {
    const { scenario, mutation, seed, violation } = protection;
    const weak = mutation === undefined ? code : await load<typeof Run>("run.ts", mutation);
    const withoutIt = await runSeeds(
      { from: seed, to: seed + TRIES, until: violation },
      async (tried) => await weak.simulateRun(weaken(protection), tried, violation),
    );
    expect(withoutIt.at(-1)?.violations[violation] ?? 0).toBeGreaterThan(0);
    // The suite and the soak run such scenarios in full.
    const duration = Math.min(scenario.duration, ENOUGH * (withoutIt.at(-1)?.haltedAt ?? 0));
    const withIt = await runSeeds(
      { from: seed, to: seed + withoutIt.length },
      async (tried) => await code.simulateRun({ ...scenario, duration }, tried),
    );
    expect(withIt.map(({ violations }) => violations)).toEqual(withIt.map(() => ({})));
  });
});
