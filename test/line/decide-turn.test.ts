import { describe, expect, test } from "vitest";
import { decideTurn } from "../../src/line/decide-turn.ts";
import type { TurnReply, Waiter } from "../../src/lock/lining.ts";

const QUORUM = 2;

function waiter(name: string): Waiter {
  return { place: `1000000000000:home:0001:${name}`, detail: "p1@process", priority: 0 };
}

function head(...names: string[]): TurnReply {
  return { status: "head", waiting: names.length, waiters: names.map(waiter) };
}

function turn(name: string, token: number): TurnReply {
  const { place, detail } = waiter(name);
  return { status: "turn", place, detail, token, expiresIn: 1_000, waiting: 1 };
}

const HELD: TurnReply = { status: "held", expiresIn: 700, waiting: 1 };

describe("whose turn it is", () => {
  test("is not said before a quorum has answered", () => {
    expect(decideTurn([head("a"), undefined, undefined], QUORUM)).toEqual({ kind: "unknown" });
    expect(decideTurn([head("a"), HELD, undefined], QUORUM)).toMatchObject({ kind: "held" });
  });

  test("goes to the one whom most masters name, then to the first, and says that others differ", () => {
    expect(decideTurn([head("b"), head("a", "b"), head("b")], QUORUM)).toMatchObject({
      kind: "head",
      head: waiter("b"),
      next: [waiter("a")],
      dissent: true,
    });
    expect(decideTurn([head("b"), head("a"), undefined], QUORUM)).toMatchObject({
      head: waiter("a"),
    });
  });

  test("is that of the latest turn, where a master has not heard that an earlier one came and went", () => {
    expect(decideTurn([turn("gone", 10), turn("next", 20), undefined], QUORUM)).toMatchObject({
      kind: "turn",
      place: waiter("next").place,
      dissent: true,
    });
  });

  test("is to be called by whoever gave it at any master, although the others say that it was given", () => {
    expect(decideTurn([turn("a", 10), head("a"), turn("a", 20)], QUORUM)).toMatchObject({
      kind: "head",
      head: waiter("a"),
      dissent: false,
    });
  });

  test("stays with one whom a quorum keeps the key for, although another master names somebody else", () => {
    expect(decideTurn([turn("b", 10), turn("b", 10), head("a")], QUORUM)).toMatchObject({
      kind: "turn",
      place: waiter("b").place,
      detail: "p1@process",
      dissent: false,
    });
  });
});
