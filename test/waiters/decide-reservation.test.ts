import { describe, expect, test } from "vitest";
import { decideReservation } from "../../src/waiters/decide-reservation.ts";
import type { ReservationReply, StoredWaiter } from "../../src/lock/wait-list-hooks.ts";

const QUORUM = 2;

function waiter(name: string): StoredWaiter {
  return { position: `1000000000000:queue:0001:${name}`, record: "p1@process", priority: 0 };
}

function head(...names: string[]): ReservationReply & { readonly status: "next" } {
  const waiters = names.map(waiter);
  return { status: "next", waiting: names.length, waiters, others: [], missed: false };
}

function reservation(name: string, token: number): ReservationReply {
  const { position, record } = waiter(name);
  return { status: "reserved", position, record, token, expiresIn: 1_000, waiting: 1 };
}

const HELD: ReservationReply = { status: "held", expiresIn: 700, waiting: 1 };

describe("the reservation of a key", () => {
  test("is unknown before a quorum has answered", () => {
    expect(decideReservation([head("a"), undefined, undefined], QUORUM)).toEqual({
      kind: "unknown",
    });
    expect(decideReservation([head("a"), HELD, undefined], QUORUM)).toMatchObject({ kind: "held" });
  });

  test("goes to the waiter that most masters name, then to the first", () => {
    expect(decideReservation([head("b"), head("a", "b"), head("b")], QUORUM)).toMatchObject({
      kind: "next",
      head: waiter("b"),
      next: [waiter("a")],
      dissent: true,
    });
    const tie = [head("b"), head("a"), undefined];
    expect(decideReservation(tie, QUORUM)).toEqual({ kind: "contested", waiting: 1 });
    // The third master does not answer.
    expect(decideReservation(tie, QUORUM, 0, true)).toMatchObject({
      head: waiter("a"),
      blocked: true,
    });
  });

  test("was missed by a waiter of which a quorum says so", () => {
    const again: ReservationReply = { ...head("a"), missed: true };
    expect(decideReservation([again, head("a"), again], QUORUM)).toMatchObject({ missed: true });
    expect(decideReservation([again, head("a")], QUORUM)).toMatchObject({ missed: false });
    const other: ReservationReply = { ...head("b"), missed: true };
    expect(decideReservation([other, head("a"), again], QUORUM)).toMatchObject({ missed: false });
  });

  test("is not decided by a master that has lost its memory", () => {
    const arriving = { ...waiter("a"), record: "a1@process" };
    const knowing: ReservationReply = {
      status: "next",
      waiting: 2,
      waiters: [arriving, waiter("b")],
      others: [],
      missed: false,
    };
    expect(decideReservation([head("b"), knowing, undefined], QUORUM)).toEqual({
      kind: "contested",
      waiting: 2,
    });
    expect(decideReservation([head("b"), knowing, knowing], QUORUM)).toMatchObject({
      kind: "next",
      head: arriving,
      dissent: true,
      blocked: false,
    });
    // No majority can name one of them: the first in order gets the key.
    expect(decideReservation([head("b"), knowing, reservation("gone", 5)], QUORUM)).toMatchObject({
      kind: "next",
      head: arriving,
      blocked: true,
    });
    const forgetful = [reservation("b", 10), reservation("a", 10)];
    expect(decideReservation([...forgetful, undefined], QUORUM).kind).toBe("contested");
    expect(decideReservation([...forgetful, reservation("a", 10)], QUORUM)).toMatchObject({
      kind: "reserved",
      position: waiter("a").position,
      blocked: false,
    });
  });

  test("is the latest one where a master does not know that an earlier one is over", () => {
    const earlier = [reservation("gone", 10), reservation("next", 20), undefined];
    expect(decideReservation(earlier, QUORUM, 0, true)).toMatchObject({
      kind: "reserved",
      position: waiter("next").position,
      dissent: true,
      blocked: true,
    });
  });

  test("is made by the process that one master names the head to", () => {
    expect(
      decideReservation([reservation("a", 10), head("a"), reservation("a", 20)], QUORUM),
    ).toMatchObject({
      kind: "next",
      head: waiter("a"),
      dissent: false,
    });
  });

  test("stays where a quorum has made it, although another master names another waiter", () => {
    expect(
      decideReservation([reservation("b", 10), reservation("b", 10), head("a")], QUORUM),
    ).toMatchObject({
      kind: "reserved",
      position: waiter("b").position,
      record: "p1@process",
      dissent: false,
    });
  });
});
