import { Redis, type RedisOptions } from "ioredis";
import { afterAll, beforeAll, beforeEach, onTestFinished, TestRunner } from "vitest";
import {
  startRedisNodes,
  type RedisNodes,
  type RedisNodesOptions,
} from "../../src/testing/index.ts";
import { atEndOfFile } from "./end-of-file.ts";

const FLUSH_WITHIN = 1_000;

/** Options of a plain client; how replies are mapped is not for tests to vary. */
type ClientOptions = Omit<RedisOptions, "replyMapping">;

/**
 * Starts nodes before the tests of the file or `describe` and stops them after; before each test
 * every node is up, awake and empty, whatever the test before has done to it.
 */
export function useRedisNodes(count = 3, options: RedisNodesOptions = {}): RedisNodes {
  let started: RedisNodes | undefined;
  const nodes = (): RedisNodes => {
    if (started === undefined) throw new Error("the nodes run only inside tests and hooks");
    return started;
  };
  beforeAll(async () => {
    started = await startRedisNodes(count, options);
  });
  beforeEach(async () => {
    await Promise.all(nodes().urls.map(async (_, index) => await refresh(nodes(), index)));
  });
  afterAll(async () => {
    await started?.stop();
  });
  return {
    get urls() {
      return nodes().urls;
    },
    get redlockOptions() {
      return nodes().redlockOptions;
    },
    get ports() {
      return nodes().ports;
    },
    get pids() {
      return nodes().pids;
    },
    isRunning: (index) => nodes().isRunning(index),
    pause: (index) => nodes().pause(index),
    resume: (index) => nodes().resume(index),
    kill: async (index) => await nodes().kill(index),
    restart: async (index, how) => await nodes().restart(index, how),
    stop: async () => await started?.stop(),
    [Symbol.asyncDispose]: async () => await started?.stop(),
  };
}

/**
 * Connects a plain ioredis client, which is disconnected when the running test ends, or the file if
 * no test is running. Its errors reach only the caller of a command.
 */
export function redisClient(url: string, options: ClientOptions = {}): Redis {
  const client = new Redis(url, options);
  // A client emits "error" for each failed connection; a test that kills nodes expects them.
  client.on("error", () => undefined);
  const end = (): void => client.disconnect();
  if (TestRunner.getCurrentTest() === undefined) atEndOfFile(end);
  else onTestFinished(end);
  return client;
}

/** Connects one client to each node; see {@link redisClient}. */
export function redisClients(nodes: RedisNodes, options: ClientOptions = {}): Redis[] {
  return nodes.urls.map((url) => redisClient(url, options));
}

async function refresh(nodes: RedisNodes, index: number): Promise<void> {
  if (!nodes.isRunning(index)) return await nodes.restart(index, { empty: true });
  nodes.resume(index);
  const client = new Redis(nodes.urls[index]!, {
    commandTimeout: FLUSH_WITHIN,
    lazyConnect: true,
    retryStrategy: () => null,
  });
  client.on("error", () => undefined);
  try {
    await client.flushall();
  } catch {
    // A server that refuses (it wants a password, say) is emptied the hard way.
    await nodes.restart(index, { empty: true });
  } finally {
    client.disconnect();
  }
}
