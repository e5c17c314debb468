import { describe, expect, it } from "vitest";
import type { Patch } from "../protections.ts";
import { runJobScenario } from "./programs.ts";
import { JOB_PROTECTIONS, type JobProtection } from "./protections.ts";

/** How often the violation is seen. */
async function count(
  { scenario, seeds, violation }: JobProtection,
  patch?: Patch,
): Promise<number> {
  const reports = await runJobScenario(scenario, { from: 0, to: seeds }, patch);
  return reports.reduce((sum, { violations }) => sum + (violations[violation] ?? 0), 0);
}

describe("without", () => {
  it.concurrent.each(JOB_PROTECTIONS)(
    "$name there are violations, with it there are none",
    async (protection) => {
      expect(await count(protection)).toBe(0);
      expect(await count(protection, protection.patch)).toBeGreaterThan(0);
    },
    300_000,
  );
});
