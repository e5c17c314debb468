import { expect, it } from "vitest";
import { liveWaiter, parsePosition } from "../../src/waiters/waiter.ts";

it.each([
  ["half a pair", "import \ud83d x", "import \ufffd x"],
  ["a pair that is cut", `${"a".repeat(255)}\u{1F600}`, `${"a".repeat(255)}\ufffd`],
  ["colons, bars and line breaks", "a:b|c\nd", "a:b|c\nd"],
  ["nothing", "", ""],
])("a position is what Redis gives back, and has the text of its waiter: %s", (_, text, stored) => {
  const { position } = liveWaiter(5, "process", "17", text);
  expect(Buffer.from(position).toString()).toBe(position);
  expect(parsePosition(position)).toEqual({
    since: 5,
    queueId: "~process",
    id: "17",
    text: stored,
  });
});

it("the text of a waiter does not count for the order", () => {
  const positions = ["9", "10"].map(
    (id, index) => liveWaiter(5, "p", id, index === 0 ? "zz" : "a").position,
  );
  expect(positions.toSorted()).toEqual(positions);
});
