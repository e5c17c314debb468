import { onTestFinished } from "vitest";
import { systemClock } from "../../src/clock.ts";
import { systemRandom } from "../../src/random.ts";
import { parseEndpoint } from "../../src/redis/endpoint.ts";
import { askNode } from "../../src/redis/node-port.ts";
import { Batch } from "../../src/redis/batch.ts";
import { type AnyRequest, Request, type Operation } from "../../src/redis/operation.ts";
import { composeScript } from "../../src/redis/script.ts";
import { Master } from "../../src/redis/master.ts";

export const NODE_TIMEOUT = 200;

/** Appends to a list and returns its length; fails on demand. */
export const append: Operation<{ key: string; value: string }, number> = {
  name: "append",
  lua: `
  if argv[1] == 'fail' then return redis.call('INCR', keys[1]) end
  return { 'OK', redis.call('RPUSH', keys[1], argv[1]) }`,
  keys: ({ key }) => [key],
  argv: ({ value }) => [value],
  parse: ([, length]) => Number(length),
};
const script = composeScript("", [append]);

/** A master, and its reports on the connection. It is closed when the test ends. */
export interface ConnectedNode {
  node: Master;
  ups: number[];
  downs: string[];
}

/** Connects to one server, given as an entry of `nodes`. `onDown` is called at each failure. */
export function connect(
  entry: unknown,
  onDown: () => void = () => {},
  nodeTimeout = NODE_TIMEOUT,
): ConnectedNode {
  const ups: number[] = [];
  const downs: string[] = [];
  const node = new Master({
    endpoint: parseEndpoint("node", entry),
    script,
    nodeTimeout,
    farthestClock: 60_000,
    clock: systemClock,
    random: systemRandom,
    onUp: () => ups.push(systemClock.now()),
    onDown: (cause) => {
      downs.push(cause);
      onDown();
    },
  });
  onTestFinished(() => node.close());
  return { node, ups, downs };
}

/** Appends to the list "list"; resolves to its length. */
export function push(node: Master, value: string): Promise<number> {
  return askNode(node, append, { key: "list", value }).then(({ reply }) => reply);
}

/** As {@link push}, all in one batch; resolves to the reply or error of each. */
export function pushAll(node: Master, values: readonly string[]): Promise<readonly unknown[]> {
  const calls = values.map((value) => new Request(append, { key: "list", value }) as AnyRequest);
  return new Promise((answer, failure) => {
    node.send(new Batch(calls), {
      answer: (replies) => answer(replies ?? []),
      failure,
      late: () => {},
    });
  });
}
