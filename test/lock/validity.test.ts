import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  abortMargin,
  drift,
  grantPatience,
  leaseEnd,
  smallestGrant,
  validUntil,
} from "../../src/lock/validity.ts";

describe("validity", () => {
  it("is the quorum-th largest lease end, and nothing below a quorum", () => {
    expect(validUntil([30, 10, 20], 2)).toBe(20);
    expect(validUntil([-Infinity, 10, -Infinity], 2)).toBe(-Infinity);
    expect(validUntil([], 1)).toBe(-Infinity);
  });

  it("counts a lease from the sending, less the drift", () => {
    expect(drift(15_000, 0.01)).toBe(152);
    expect(leaseEnd(100, 15_000, 0.01)).toBe(100 + 15_000 - 152);
  });

  it("keeps an abort margin of a tenth of the ttl, within 250 ms, 5 s and a quarter", () => {
    expect(abortMargin(15_000)).toBe(1_500);
    expect(abortMargin(100_000)).toBe(5_000);
    expect(abortMargin(2_000)).toBe(250);
    expect(abortMargin(400)).toBe(100);
  });

  it("never lets a quorum of leases end before the lock does", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(10_000), { minLength: 1, maxLength: 7 }), (ends) => {
        const quorum = Math.floor(ends.length / 2) + 1;
        const until = validUntil(ends, quorum);
        expect(ends.filter((end) => end >= until).length).toBeGreaterThanOrEqual(quorum);
        expect(ends.filter((end) => end > until).length).toBeLessThan(quorum);
      }),
    );
  });

  it("leaves a usable grant when the last vote comes at the end of the patience", () => {
    fc.assert(
      fc.property(fc.integer({ min: 200, max: 600_000 }), (ttl) => {
        const arrival = grantPatience(ttl, 0.01);
        const left = leaseEnd(0, ttl, 0.01) - abortMargin(ttl) - arrival;
        expect(left).toBeGreaterThanOrEqual(smallestGrant(ttl) - 1e-6);
      }),
    );
  });
});
