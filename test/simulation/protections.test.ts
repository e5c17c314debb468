import { describe, expect, it } from "vitest";
import { stayInBackground } from "../support/background.ts";
import { weaken } from "./measure.ts";
import { runScenario } from "./mutant.ts";
import { PROTECTIONS } from "./protections.ts";

stayInBackground();

describe("without", () => {
  it.concurrent.each(PROTECTIONS)(
    "$name there are violations, with it there are none",
    async (protection) => {
      const { scenario, patch, seeds, violation } = protection;
      const until = { from: 0, to: seeds, until: violation };
      const withoutIt = await runScenario(weaken(protection), until, patch);
      expect(withoutIt.at(-1)?.violations[violation] ?? 0).toBeGreaterThan(0);
      const withIt = await runScenario(scenario, { from: 0, to: withoutIt.length });
      expect(withIt.map(({ violations }) => violations)).toEqual(withIt.map(() => ({})));
    },
    300_000,
  );
});
