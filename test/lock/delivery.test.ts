import { describe, expect, it } from "vitest";
import { Delivery, DeliveryLog } from "../../src/lock/delivery.ts";
import { Batch, type Replies } from "../../src/redis/batch.ts";
import { NodeError } from "../../src/redis/node-error.ts";
import type { BatchListener, NodePort } from "../../src/redis/node-port.ts";
import { type Operation, Request, type ServedBy } from "../../src/redis/operation.ts";

const operation: Operation<string, string> = {
  name: "any",
  lua: "return 'OK'",
  keys: () => [],
  argv: () => [],
  parse: () => "parsed",
  fast: { rank: 0, takes: () => true, detail: () => "", served: (name) => `${name} served` },
};
const fastPath = { lua: "", oddLua: "", encode: () => [] };
const failed = new NodeError("timed-out", "no answer");

/** A batch of two requests on its way to masters, whose answers the test gives. */
function deliver(nodes: number, { isShared = true } = {}) {
  const seen: unknown[] = [];
  const served: ServedBy[] = [];
  const requests = ["a", "b"].map(
    (name) =>
      new Request(operation, name, {
        served(by) {
          served.push(by);
          seen.push([name, "served"]);
        },
        answer: (node, reply, sentAt) => seen.push([name, node, reply, sentAt]),
        failure: (node, { failure }) => seen.push([name, node, failure]),
        late: (node, reply) => seen.push([name, node, reply, "late"]),
      }),
  );
  const names = Array.from({ length: nodes }, (_, node) => `master ${node}`);
  const log = new DeliveryLog(names, {});
  const delivery = new Delivery(new Batch(requests, fastPath), log, isShared);
  const listeners: BatchListener[] = [];
  for (const node of names.keys()) {
    const port = { send: (_: Batch, listener: BatchListener) => listeners.push(listener) };
    delivery.send(node, port as unknown as NodePort);
  }
  return {
    served,
    answer: (node: number, replies: Replies, sentAt: number) =>
      listeners[node]?.answer(replies, sentAt, `server ${node}`),
    fail: (node: number) => listeners[node]?.failure(failed),
    late: (node: number, replies: Replies) => listeners[node]?.late(replies, 1, `server ${node}`),
    /** What the requests have received since the last look. */
    look: () => seen.splice(0),
  };
}

describe("a batch that every master serves by the fast path", () => {
  it("reports a quorum to each request, once, and adds the others without a call", () => {
    const { answer, look, served } = deliver(5);
    answer(3, undefined, 30);
    answer(1, undefined, 10);
    expect(look()).toEqual([]);
    answer(0, undefined, 20);
    const [by] = served;
    expect(look()).toEqual([
      ["a", "served"],
      ["b", "served"],
    ]);
    answer(4, undefined, 5);
    expect(look()).toEqual([]);
    expect([0, 1, 2, 3, 4].map((node) => by?.sentAt(node))).toEqual([20, 10, undefined, 30, 5]);
    expect(by?.since).toBe(10);
  });

  it("reports each answer to each request from the first of another kind on", () => {
    const { answer, fail, look } = deliver(3);
    answer(2, undefined, 10);
    fail(0);
    expect(look()).toEqual([
      ["a", 2, "a served", 10],
      ["b", 2, "b served", 10],
      ["a", 0, "timed-out"],
      ["b", 0, "timed-out"],
    ]);
    answer(1, undefined, 20);
    expect(look()).toEqual([
      ["a", 1, "a served", 20],
      ["b", 1, "b served", 20],
    ]);
  });

  it("reports replies of another kind after the quorum, and what comes after those", () => {
    const { answer, late, fail, look, served } = deliver(5);
    for (const node of [0, 1, 2]) answer(node, undefined, node);
    look();
    fail(3);
    answer(4, ["x", failed], 40);
    late(3, undefined);
    expect(look()).toEqual([
      ["a", 3, "timed-out"],
      ["b", 3, "timed-out"],
      ["a", 4, "x", 40],
      ["b", 4, "timed-out"],
      ["a", 3, "a served", "late"],
      ["b", 3, "b served", "late"],
    ]);
    expect([3, 4].map((node) => served[0]?.sentAt(node))).toEqual([undefined, undefined]);
  });

  it("reports each answer where it does not go to all masters", () => {
    const { answer, look } = deliver(1, { isShared: false });
    answer(0, undefined, 1);
    expect(look()).toEqual([
      ["a", 0, "a served", 1],
      ["b", 0, "b served", 1],
    ]);
  });

  it("counts no second answer of the same server", () => {
    const seen: unknown[] = [];
    const names = ["x", "y", "z"];
    const log = new DeliveryLog(names, {});
    const request = new Request(operation, "a", {
      served: () => seen.push("served"),
      answer: (node) => seen.push(node),
      failure: (node, { failure }) => seen.push([node, failure]),
    });
    const delivery = new Delivery(new Batch([request], fastPath), log, true);
    const listeners: BatchListener[] = [];
    const port = { send: (_: Batch, listener: BatchListener) => listeners.push(listener) };
    for (const node of names.keys()) delivery.send(node, port as unknown as NodePort);
    listeners[0]?.answer(undefined, 1, "same");
    listeners[1]?.answer(undefined, 1, "same");
    listeners[2]?.answer(undefined, 1, "other");
    expect(seen).toEqual([0, [1, "duplicate"], 2]);
  });
});
