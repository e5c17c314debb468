import { describe, expect, it } from "vitest";
import { measure } from "./measure.ts";
import { PROTECTIONS } from "./protections.ts";

describe("without", () => {
  it.each(PROTECTIONS)(
    "$name there are violations, with it there are none",
    async (protection) => {
      const { withIt, withoutIt } = await measure(protection);
      expect(withIt.violations).toEqual({});
      expect(withoutIt.violations[protection.violation] ?? 0).toBeGreaterThan(0);
    },
    300_000,
  );
});
