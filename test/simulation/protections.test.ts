import { describe, expect, it } from "vitest";
import { stayInBackground } from "../support/background.ts";
import { measure } from "./measure.ts";
import { PROTECTIONS } from "./protections.ts";

stayInBackground();

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
