import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  checkChoice,
  checkMs,
  checkNumber,
  refuseUnknownOptions,
  requireObject,
  wrongOption,
} from "../check-options.ts";
import { findRedisServer } from "./find-redis-server.ts";
import { RedisNode, type NodeLaunch } from "./redis-node.ts";
import type { RedisServer } from "./redis-server.ts";
import { ProcessGuard } from "./process-guard.ts";

const START_TIMEOUT = 10_000;
const OPTIONS = ["persistence", "args", "startTimeout", "onProgress"];
/** More servers than any test needs; each takes a port, a folder and a few megabytes. */
const MOST_NODES = 999;
/** Longest wait for a server, in ms. */
const LONGEST_START = 600_000;

/** Options of {@link startRedisNodes}. */
export interface RedisNodesOptions {
  /**
   * `"none"`: a node that ends has lost everything. `"always"`: every write is on disk before it is
   * answered (`--appendonly yes --appendfsync always`). Default `"none"`.
   */
  persistence?: "none" | "always";
  /** More arguments for each server, such as `["--requirepass", "secret"]`; they win over ours. */
  args?: readonly string[];
  /** Milliseconds within which each server must answer. Default 10000. */
  startTimeout?: number;
  /** The server to run. Default: what {@link findRedisServer} finds. @internal */
  server?: RedisServer;
  /** Called with one line when something takes long, such as the first fetch of a server. */
  onProgress?: (line: string) => void;
}

/** Independent masters on this machine, each a process of its own, counted from 0. */
export interface RedisNodes extends AsyncDisposable {
  /** `redis://127.0.0.1:port` of each node, without credentials. */
  readonly urls: readonly string[];
  /**
   * Options for a `Redlock` on these nodes: they are new, and known to be, so none of them has a lock to forget.
   * @example new Redlock({ ...nodes.redlockOptions, ttl: 1_000 })
   */
  readonly redlockOptions: { nodes: string[]; restartGuard: "trust-new" };
  readonly ports: readonly number[];
  /** The process of each node; the last one when it is down. */
  readonly pids: readonly number[];
  /** Whether the node's process has not ended; a paused node is running. */
  isRunning(index: number): boolean;
  /** Freezes the node (SIGSTOP): connections stay open, nothing is answered. */
  pause(index: number): void;
  /** Lets a paused node go on (SIGCONT). */
  resume(index: number): void;
  /** Ends the node (SIGKILL), paused or not, and resolves when it is gone. */
  kill(index: number): Promise<void>;
  /**
   * Kills the node if it runs, and starts it on the same port.
   *
   * `empty: true` forgets its data; `empty: false` keeps them and needs `persistence: "always"`.
   * Default: keep them if the persistence allows it.
   */
  restart(index: number, options?: { empty?: boolean }): Promise<void>;
  /** Kills all nodes, removes their folders, and resolves when nothing is left. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts real, independent Redis (or Valkey) servers on free loopback ports; resolves when all answer.
 *
 * No server outlives this process, even when it is killed. They do not keep it alive either.
 *
 * A server of this machine is used, first the one at the path in `BULLMQ_REDLOCK_REDIS_BIN`; where there is none, it is
 * fetched into a cache, unless `BULLMQ_REDLOCK_INSTALL=0` forbids it.
 *
 * @param count How many nodes. Default 3.
 * @throws {LockConfigError} for a bad argument.
 * @throws NoRedisServerError when this machine has no server and none can be fetched.
 * @throws RedisStartError when a server does not come up; its output is in the message.
 */
export async function startRedisNodes(
  count = 3,
  options: RedisNodesOptions = {},
): Promise<RedisNodes> {
  checkNumber("count", count, { min: 1, max: MOST_NODES, unit: "a number of servers" });
  checkOptions(options);
  const { persistence = "none", args = [], startTimeout = START_TIMEOUT, onProgress } = options;
  const server = options.server ?? (await findRedisServer(onProgress ? { onProgress } : {}));
  const folder = join(tmpdir(), `bullmq-redlock-${randomUUID()}`);
  // Before there is anything to leave behind.
  const processGuard = new ProcessGuard(folder);
  const isPersistent = persistence === "always";
  const launch: Omit<NodeLaunch, "root"> = {
    server,
    args: isPersistent ? ["--appendonly", "yes", "--appendfsync", "always", ...args] : args,
    startTimeout,
    processGuard,
  };
  const starts = await Promise.allSettled(
    Array.from({ length: count }, async (_, index) => {
      return await RedisNode.start({ ...launch, root: join(folder, String(index)) });
    }),
  );
  const nodes = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value] : []));
  const group = new NodeGroup({ nodes, isPersistent, folder, processGuard });
  const failed = starts.find((start) => start.status === "rejected");
  if (failed === undefined) return group;
  await group.stop();
  throw failed.reason;
}

/** What a {@link NodeGroup} is made of. */
interface Parts {
  readonly nodes: readonly RedisNode[];
  readonly isPersistent: boolean;
  readonly folder: string;
  readonly processGuard: ProcessGuard;
}

class NodeGroup implements RedisNodes {
  readonly ports: readonly number[];
  readonly redlockOptions: RedisNodes["redlockOptions"];
  readonly urls: readonly string[];
  readonly #parts: Parts;
  #stopping: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.ports = parts.nodes.map(({ port }) => port);
    this.urls = this.ports.map((port) => `redis://127.0.0.1:${port}`);
    this.redlockOptions = { nodes: [...this.urls], restartGuard: "trust-new" };
  }

  get pids(): readonly number[] {
    return this.#parts.nodes.map(({ pid }) => pid);
  }

  isRunning(index: number): boolean {
    return this.#node(index).isRunning;
  }

  pause(index: number): void {
    this.#node(index).pause();
  }

  resume(index: number): void {
    this.#node(index).resume();
  }

  async kill(index: number): Promise<void> {
    await this.#node(index).kill();
  }

  async restart(index: number, options: { empty?: boolean } = {}): Promise<void> {
    const { isPersistent } = this.#parts;
    const empty = options.empty ?? !isPersistent;
    if (this.#stopping !== undefined) throw new Error("the nodes were stopped");
    if (!empty && !isPersistent)
      throw new Error(
        `node ${index} cannot keep its data: restart with empty: false needs persistence: "always" in startRedisNodes`,
      );
    await this.#node(index).restart(empty);
  }

  async stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    await this.#stopping;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #stop(): Promise<void> {
    const { nodes, processGuard, folder } = this.#parts;
    await Promise.all(nodes.map(async (node) => await node.kill()));
    await processGuard.dismiss();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }

  #node(index: number): RedisNode {
    const { nodes } = this.#parts;
    const node = nodes[index];
    if (node === undefined)
      throw new RangeError(`no node ${index}: there are ${nodes.length}, counted from 0`);
    return node;
  }
}

function checkOptions(options: RedisNodesOptions): void {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, [...OPTIONS, "server"], {
    usual: `one of ${OPTIONS.join(", ")}`,
  });
  const { persistence = "none", args = [], startTimeout = START_TIMEOUT } = options;
  checkChoice("persistence", persistence, ["none", "always"]);
  checkMs("startTimeout", startTimeout, 1, LONGEST_START);
  if (!Array.isArray(args) || args.some((arg) => typeof arg !== "string")) {
    const expected = 'a list of texts, such as ["--requirepass", "secret"]';
    throw wrongOption("args", args, expected);
  }
}
