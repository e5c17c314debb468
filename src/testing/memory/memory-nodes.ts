import { type Clock, systemClock } from "../../clock.ts";
import { LockLostError } from "../../errors.ts";
import type { Lock } from "../../lock/lock.ts";
import { type Names, namesUnder } from "../../lock/stored.ts";
import { systemRandom } from "../../random.ts";
import type { RedlockOptions } from "../../redlock/options.ts";
import type { Redlock } from "../../redlock/redlock.ts";
import { refuseUnknownOptions } from "../known-options.ts";
import { MemoryNode } from "./memory-node.ts";
import { MemoryRedlock } from "./memory-redlock.ts";
import { SimulatedMaster } from "./simulated-master.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** Options of {@link MemoryNodes}. */
export interface MemoryNodesOptions {
  /** How many masters. @defaultValue 3 */
  count?: number;
  /**
   * Time stands still but for {@link MemoryNodes.advance}: for every `Redlock` on these masters, and for nothing else.
   * @defaultValue false
   */
  virtualTime?: boolean;
}

/**
 * Lock masters in the memory of this process, for tests without servers. What they answer is what the script answers on a
 * Redis server; there are no sockets, and no quarantine.
 *
 * @example
 * const masters = new MemoryNodes();
 * const processor = withLock({ redlock: masters.redlock(), key: "account:{{data.accountId}}" }, charge);
 * await processor({ id: "1", name: "charge", queueName: "charges", data: { accountId: "42" } } as Job<Charge>);
 * await masters.close();
 */
export class MemoryNodes implements AsyncDisposable {
  readonly #masters: readonly SimulatedMaster[];
  readonly #virtual: VirtualClock | undefined;
  readonly #clock: Clock;
  /** Each with the names under which it stores its locks. */
  readonly #clients = new Map<Redlock, Names>();
  #reachable = true;

  /** @throws {RangeError} for a `count` that is no whole number of at least 1. */
  constructor(options: MemoryNodesOptions = {}) {
    refuseUnknownOptions("MemoryNodes", options, ["count", "virtualTime"]);
    const { count = 3, virtualTime = false } = options;
    if (!Number.isInteger(count) || count < 1) {
      throw new RangeError(`count: found ${count}, expected a whole number of at least 1`);
    }
    this.#virtual = virtualTime ? new VirtualClock() : undefined;
    this.#clock = this.#virtual ?? systemClock;
    this.#masters = Array.from({ length: count }, () => new SimulatedMaster(this.#clock));
  }

  /**
   * Makes a client of these masters: a `Redlock` like any other, but that {@link Redlock.ready} only tells whether the
   * masters are reachable. Each further one stands for another process.
   * @param options those of the program; `nodes` and `restartGuard` are replaced.
   * @throws {LockConfigError} for an option that cannot work.
   */
  redlock(options: RedlockOptions = {}): Redlock {
    const names = this.#masters.map((_, index) => `memory-${index + 1}`);
    const redlock = new MemoryRedlock(
      { ...options, nodes: names.map((name) => `redis://${name}`), restartGuard: false },
      {
        clock: this.#clock,
        random: systemRandom,
        connect: ({ endpoint }) => {
          const index = names.findIndex((name) => endpoint.name.startsWith(`${name}:`));
          return new MemoryNode(
            endpoint.name,
            this.#masters[index]!,
            this.#clock,
            () => this.#reachable,
          );
        },
        // As in `MemoryNode`.
        defer: (run) => void Promise.resolve().then(run),
      },
    );
    this.#clients.set(redlock, namesUnder(options.keyPrefix ?? "redlock:"));
    return redlock;
  }

  /**
   * Takes a key as another client, until the returned lock is released.
   * @throws what `acquire` throws.
   */
  async hold(key: string): Promise<Lock> {
    return await this.redlock().acquire(key, { holder: "another client" });
  }

  /**
   * Lets the holder of a key lose its lock: the masters forget it, and the next extend, which follows at once, finds it gone.
   * Resolves when the signal has aborted. The key is free then.
   * @throws {Error} when no client of these masters holds the key; {@link LockUnavailableError} after {@link fail}.
   */
  async lose(key: string): Promise<void> {
    const locks = [...this.#clients].flatMap(([client, names]) =>
      [...client.held]
        .filter((lock) => lock.held && lock.keys.includes(key))
        .map((lock) => ({ lock, name: names.lock(key) })),
    );
    if (locks.length === 0) throw new Error(`lose: found no holder of "${key}"`);
    await Promise.all(
      locks.map(async ({ lock, name }) => {
        for (const master of this.#masters) master.delete(name);
        try {
          await lock.extend();
        } catch (error) {
          if (!(error instanceof LockLostError)) throw error;
        }
      }),
    );
  }

  /** Makes all masters unreachable, until {@link restore}. */
  fail(): void {
    this.#reachable = false;
  }

  /** Ends {@link fail}. What the masters hold is still there. */
  restore(): void {
    this.#reachable = true;
  }

  /**
   * Lets time pass: heartbeats, ends of locks and waits happen in order, with all promise jobs run between them.
   * @param ms whole milliseconds.
   * @throws {Error} without `virtualTime`.
   */
  async advance(ms: number): Promise<void> {
    if (this.#virtual === undefined) {
      throw new Error("advance: found masters in real time, expected { virtualTime: true }");
    }
    await this.#virtual.pass(ms);
  }

  /** Closes every client of these masters. Idempotent. */
  async close(): Promise<void> {
    await Promise.all([...this.#clients.keys()].map(async (client) => await client.close()));
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
