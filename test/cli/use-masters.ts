import { beforeEach } from "vitest";
import { Redlock, type RedlockOptions } from "../../src/index.ts";
import type { RedisNodes } from "../../src/testing/index.ts";
import { useRedisNodes } from "../support/redis.ts";
import { cli, type Outcome } from "./run-cli.ts";

/** The masters of the tests of a file. */
interface Masters {
  readonly nodes: RedisNodes;
  /** A client, which each test gets anew. */
  readonly redlock: Redlock;
  /** Runs a command about the masters. */
  readonly ask: (...args: string[]) => Promise<Outcome>;
}

/** Starts three masters for the tests of a file, which see them through a client and through the command line. */
export function useMasters(options: Omit<RedlockOptions, "nodes">): Masters {
  const nodes = useRedisNodes(3);
  let redlock: Redlock | undefined;
  beforeEach(() => {
    const opened = new Redlock({ ...nodes.redlockOptions, ...options });
    redlock = opened;
    return async () => await opened.close();
  });
  return {
    nodes,
    get redlock() {
      if (redlock === undefined) throw new Error("the client is there only inside tests and hooks");
      return redlock;
    },
    ask: async (...args) => await cli([...args, ...nodesOf(nodes.urls)]),
  };
}

/** Masters as options of a command. */
export function nodesOf(urls: readonly string[]): string[] {
  return urls.flatMap((url) => ["--node", url]);
}
