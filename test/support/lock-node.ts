import { beforeEach } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { lockScript } from "../../src/waiters/script.ts";
import { systemRandom } from "../../src/random.ts";
import { parseEndpoint } from "../../src/redis/endpoint.ts";
import { askNode } from "../../src/redis/node-port.ts";
import type { Operation } from "../../src/redis/operation.ts";
import { Master } from "../../src/redis/master.ts";

/** Connects the library to one server before each test, with the operations of locks and lines. */
export function useLockNode(servers: { readonly urls: readonly string[] }) {
  let node: Master;
  beforeEach(() => {
    node = new Master({
      endpoint: parseEndpoint("node", servers.urls[0]),
      script: lockScript,
      nodeTimeout: 5_000,
      farthestClock: 60_000,
      clock: systemClock,
      random: systemRandom,
      onUp: () => {},
      onDown: () => {},
    });
    return () => node.close();
  });
  /** Asks it, and says which server process answered. */
  const answer = async <A, R>(operation: Operation<A, R>, args: A) =>
    await askNode(node, operation, args);
  const ask = async <A, R>(operation: Operation<A, R>, args: A): Promise<R> =>
    (await answer(operation, args)).reply;
  return { answer, ask };
}
