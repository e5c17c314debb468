import { systemClock } from "../../src/clock.ts";
import { lockProgram } from "../../src/lock/program.ts";
import { systemRandom } from "../../src/random.ts";
import { parseEndpoint } from "../../src/redis/endpoint.ts";
import { RedisNode } from "../../src/redis/redis-node.ts";

/** A connection of the library to one server, which knows the operations of locks and lines. */
export function connectNode(url: string): RedisNode {
  return new RedisNode({
    endpoint: parseEndpoint("node", url),
    program: lockProgram,
    nodeTimeout: 5_000,
    farthestClock: 60_000,
    clock: systemClock,
    random: systemRandom,
    onUp: () => {},
    onDown: () => {},
  });
}
