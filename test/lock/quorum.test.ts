import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { KeyHolder } from "../../src/lock/acquire-operation.ts";
import { judge, quorumOf, type Vote } from "../../src/lock/quorum.ts";
import { NodeError } from "../../src/redis/node-error.ts";

const granted: Vote = { kind: "granted" };
const pending: Vote = { kind: "pending" };
const silent: Vote = { kind: "failed", error: new NodeError("timed-out", "no answer") };
const obstructed: Vote = { kind: "failed", error: new NodeError("refused", "WRONGTYPE ...") };

function heldBy(id: string, { confirmed = false, mark = 1 } = {}): Vote {
  const stored = { key: "k", slot: 0, free: [], id, token: 1, text: id, kept: false };
  const holder: KeyHolder = {
    ...stored,
    expiresIn: 100,
    confirmed,
    reservation: false,
    ahead: 0,
    waiting: -1,
  };
  return { kind: "busy", mark, holders: [holder] };
}

function verdictOf(votes: Vote[], token = 10): string {
  return judge(votes, quorumOf(votes.length), token).kind;
}

describe("the judge", () => {
  it("grants with a quorum, whatever the others vote", () => {
    expect(verdictOf([granted, granted, pending])).toBe("granted");
    expect(verdictOf([granted, granted, silent])).toBe("granted");
    expect(verdictOf([granted, heldBy("a"), granted])).toBe("granted");
    expect(verdictOf([granted, pending, pending])).toBe("undecided");
  });

  it("wants a higher token when one is known, even with a quorum of grants", () => {
    expect(verdictOf([granted, granted, { kind: "stale", mark: 10 }])).toBe("stale");
    expect(verdictOf([granted, granted, heldBy("a", { mark: 11 })])).toBe("stale");
    expect(verdictOf([granted, { kind: "stale", mark: 99 }, pending])).toBe("stale");
  });

  it("decides conflict as soon as one holder has a quorum", () => {
    expect(verdictOf([heldBy("a"), heldBy("a"), pending])).toBe("conflict");
    expect(verdictOf([heldBy("a"), heldBy("a"), silent, silent, heldBy("a")])).toBe("conflict");
  });

  it("does not call minorities of several contenders a conflict", () => {
    expect(verdictOf([heldBy("a"), heldBy("b"), granted])).toBe("split");
    expect(verdictOf([heldBy("a"), heldBy("b"), heldBy("c")])).toBe("split");
    expect(verdictOf([heldBy("a"), heldBy("a"), heldBy("b"), heldBy("b")])).toBe("split");
    expect(verdictOf([heldBy("a"), granted, silent])).toBe("split");
  });

  it("treats a minority that has extended as the holder", () => {
    expect(verdictOf([heldBy("a", { confirmed: true }), granted, silent])).toBe("conflict");
    expect(verdictOf([heldBy("a", { confirmed: true }), silent, silent])).toBe("unavailable");
  });

  it("decides unavailable when no quorum has answered, and only then", () => {
    expect(verdictOf([silent, silent, granted])).toBe("unavailable");
    expect(verdictOf([silent, silent, heldBy("a")])).toBe("unavailable");
    expect(verdictOf([silent, pending, silent])).toBe("undecided");
    expect(verdictOf([obstructed, obstructed, granted])).toBe("obstructed");
    expect(verdictOf([obstructed, granted, granted])).toBe("granted");
  });

  it("never decides what a later vote could overturn", () => {
    const vote = fc.constantFrom(
      granted,
      silent,
      heldBy("a"),
      heldBy("b"),
      heldBy("a", { confirmed: true }),
      { kind: "stale", mark: 20 } as Vote,
    );
    fc.assert(
      fc.property(fc.array(vote, { minLength: 1, maxLength: 5 }), fc.nat(4), (votes, known) => {
        const early = votes.map((cast, index) => (index < known ? cast : pending));
        const first = verdictOf(early);
        if (first === "undecided") return;
        // A grant may differ when a higher token turns up late: that is allowed, because no client has seen it.
        if (first === "granted") return;
        const last = verdictOf(votes);
        // With a higher token a quorum may still be won; without one it cannot.
        if (first === "stale") expect(["stale"]).toContain(last);
        else expect(last).toBe(first);
      }),
      { numRuns: 2_000 },
    );
  });

  it("always decides when every master has voted or failed", () => {
    const vote = fc.constantFrom(granted, silent, obstructed, heldBy("a"), heldBy("b"));
    fc.assert(
      fc.property(fc.array(vote, { minLength: 1, maxLength: 7 }), (votes) => {
        expect(verdictOf(votes)).not.toBe("undecided");
      }),
    );
  });
});
