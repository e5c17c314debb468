import { describe, expect, it } from "vitest";
import { isStuck, nextStep, type RegisterReply } from "../../src/lock/agreement.ts";
import type { GuardState } from "../../src/lock/arm-operation.ts";

const TERMS = { wanted: 1_000, grace: 100 };

function sure(ttl = 1_000, more: Partial<GuardState> = {}): GuardState {
  const ttls = { longestTtl: ttl, agreedTtl: ttl };
  return { state: "sure", armedAt: 1, age: 9_999, remaining: 0, ...ttls, ...more };
}

/** A guard that was set when the master had forgotten everything. */
function unsure(armedAt: number, more: Partial<GuardState> = {}): GuardState {
  return sure(1_000, { state: "forgot", armedAt, agreedTtl: 0, ...more });
}

const AGAIN = { kind: "ask again", pause: false };
const DONE = { kind: "done" };

describe("what masters are told about the longest ttl", () => {
  it.each<[string, RegisterReply[], RegisterReply[], object]>([
    ["nothing, when all that answer know", [], [sure(), sure(), undefined], DONE],
    ["nothing, when none is sure and one is silent", [], [unsure(5), unsure(6), undefined], DONE],
    [
      "what is agreed, when one is sure, after a second request",
      [],
      [sure(), unsure(5), undefined],
      AGAIN,
    ],
    [
      "what is agreed, to the one that forgot",
      [sure(), unsure(5), undefined],
      [sure(), unsure(5), undefined],
      { kind: "agree", ttl: 1_000, nodes: [1], isLast: true },
    ],
    [
      "nothing yet, when it has forgotten again in between",
      [sure(), unsure(5), undefined],
      [sure(), unsure(6), undefined],
      AGAIN,
    ],
    [
      "nothing yet, when it has not heard of the longer ttl that the sure one knows",
      [sure(60_000), unsure(5), undefined],
      [sure(60_000), unsure(5), undefined],
      AGAIN,
    ],
    [
      "nothing yet, when it is new beside a sure one: another client may be trusting the set",
      [sure(), unsure(5, { state: "new", age: 20 }), undefined],
      [sure(), unsure(5, { state: "new", age: 40 }), undefined],
      { kind: "ask again", pause: true },
    ],
    [
      "to agree anew, when all have forgotten and answer",
      [unsure(5), unsure(6), unsure(7)],
      [unsure(5), unsure(6), unsure(7)],
      { kind: "agree", ttl: 1_000, nodes: [0, 1, 2], isLast: true },
    ],
  ])("%s", (_, before, replies, step) => {
    expect(nextStep(before, replies, TERMS)).toEqual(step);
  });

  it("agrees on a longer ttl when all have reported it twice, with the same guards", () => {
    const terms = { ...TERMS, wanted: 60_000 };
    const told = (armedAt: number): GuardState => sure(1_000, { armedAt, longestTtl: 60_000 });
    const [a, b, c] = [told(1), told(2), told(3)];
    expect(nextStep([], [a, b, undefined], terms)).toEqual(DONE);
    expect(nextStep([], [a, b, c], terms)).toEqual(AGAIN);
    expect(nextStep([sure(), b, c], [a, b, c], terms)).toEqual(AGAIN);
    // A master has forgotten in between, and was told again: another client may rely on what it was told before.
    expect(nextStep([a, b, c], [a, b, told(4)], terms)).toEqual(AGAIN);
    expect(nextStep([a, b, c], [a, b, c], terms)).toEqual({
      kind: "agree",
      ttl: 60_000,
      nodes: [0, 1, 2],
      isLast: true,
    });
  });

  it("detects masters that wait for a silent one", () => {
    expect(isStuck([unsure(5), undefined])).toBe(true);
    expect(isStuck([unsure(5), unsure(6)])).toBe(false);
    expect(isStuck([unsure(5), sure(), undefined])).toBe(false);
    expect(isStuck([undefined, undefined])).toBe(false);
  });
});
