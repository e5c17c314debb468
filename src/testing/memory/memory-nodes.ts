import {
  checkMs,
  checkNumber,
  refuseUnknownOptions,
  refuseValue,
  requireBoolean,
  requireObject,
  wrongOption,
} from "../../check-options.ts";
import { type Clock, LONGEST_TIMER, systemClock } from "../../clock.ts";
import { LockLostError, RedlockClosedError } from "../../errors.ts";
import { type LimitedKey, normaliseKey } from "../../keys/normalise.ts";
import type { Lock } from "../../lock/lock.ts";
import { slotName } from "../../lock/slots.ts";
import { namesUnder } from "../../lock/stored-lock.ts";
import { systemRandom } from "../../random.ts";
import type { RedlockOptions } from "../../redlock/options.ts";
import { engineOf, type Redlock } from "../../redlock/redlock.ts";
import { MemoryNode } from "./memory-node.ts";
import { MemoryRedlock } from "./memory-redlock.ts";
import { clearTimeout, setTimeout } from "./real-time.ts";
import { SimulatedMaster } from "./simulated-master.ts";
import { VirtualClock } from "./virtual-clock.ts";
import { describeValue } from "../../sentences.ts";

/** The largest `count`: every request goes to all masters. */
const MOST_MASTERS = 99;

/** Milliseconds of real time that {@link MemoryNodes.close} gives jobs to end after the abort. */
const LONGEST_CLOSE = 1_000;

const DEFAULT_PREFIX = "redlock:";

/** Options of {@link MemoryNodes}. */
export interface MemoryNodesOptions {
  /** How many masters, at most 99. @defaultValue 3 */
  count?: number;
  /**
   * Time moves only by {@link MemoryNodes.advance}, for every `Redlock` on these masters, and for nothing else.
   * @defaultValue false
   */
  virtualTime?: boolean;
}

/** Options of {@link MemoryNodes.redlock}: those of a `Redlock` that do not concern its masters. */
export interface MemoryRedlockOptions extends Omit<RedlockOptions, "nodes" | "restartGuard"> {
  /** Refused: the masters are those in memory. */
  nodes?: undefined;
  /** Refused: masters in memory do not restart. */
  restartGuard?: undefined;
}

/**
 * Lock masters in the memory of this process, for tests without servers. They answer as the script does on a Redis server, without
 * sockets and without a quarantine.
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
  readonly #clients = new Map<Redlock, { readonly prefix: string; readonly isOther: boolean }>();
  #reachable = true;
  #passing = Promise.resolve();
  #closed: Promise<void> | undefined;

  /** @throws {LockConfigError} for an option that cannot work. */
  constructor(options: MemoryNodesOptions = {}) {
    requireObject("options", options, "an object of options");
    refuseUnknownOptions("", options, ["count", "virtualTime"]);
    const { virtualTime = false, count = 3 }: Record<string, unknown> = { ...options };
    requireBoolean("virtualTime", virtualTime);
    const bounds = { min: 1, max: MOST_MASTERS, unit: "a whole number of masters" };
    const length = checkNumber("count", count, bounds);
    this.#virtual = virtualTime ? new VirtualClock() : undefined;
    this.#clock = this.#virtual ?? systemClock;
    this.#masters = Array.from({ length }, () => new SimulatedMaster(this.#clock));
  }

  /**
   * Makes a client of these masters, a `Redlock`. Its {@link Redlock.ready} only reports whether the masters are reachable. Each
   * further client stands for another process.
   * @param options those of the program, without `nodes` and `restartGuard`.
   * @throws {LockConfigError} for an option that cannot work; {@link RedlockClosedError}.
   */
  redlock(options: MemoryRedlockOptions = {}): Redlock {
    return this.#connect(options, false);
  }

  /**
   * Acquires a key as another client, until the returned lock is released. Uses the `prefix` of the clients that were made
   * before. With a limit, it takes one of the slots of the key; each call stands for another holder.
   * @example await masters.hold({ key: "account:42", limit: 3 });
   * @throws {LockConfigError} when those differ in it; what `acquire` throws.
   */
  async hold(key: string | LimitedKey): Promise<Lock> {
    this.#assertOpen();
    const clients = [...this.#clients.values()].filter(({ isOther }) => !isOther);
    const prefixes = [...new Set(clients.map(({ prefix }) => prefix))];
    const [prefix = DEFAULT_PREFIX] = prefixes;
    if (prefixes.length > 1) {
      const several = prefixes.map((prefix) => describeValue(prefix)).join(" and ");
      refuseValue(
        "hold(key)",
        `clients with the prefix ${several}`,
        "one of them: take the key by a client that has it, masters.redlock({ prefix }).acquire(key)",
      );
    }
    const other = this.#connect({ prefix }, true);
    normaliseKey((Object(key) as Partial<LimitedKey>).key ?? (key as string));
    return await other.acquire(key, { holder: "another client" });
  }

  /**
   * Lets the holder of a key, and each of several holders, lose its lock: the masters forget it, and the next extend, which follows at once, finds it gone.
   * Resolves when the signal has aborted. The key is free then.
   * @throws {LockConfigError} when no client of these masters holds the key; {@link LockUnavailableError} after
   * {@link fail}; {@link LockKeyError} for what is not one key; {@link RedlockClosedError}.
   */
  async lose(key: string): Promise<void> {
    this.#assertOpen();
    normaliseKey(key);
    const locks = [...this.#clients].flatMap(([client, { prefix }]) =>
      [...engineOf(client).held]
        .filter((lock) => lock.held && lock.keys.includes(key))
        .map((lock) => {
          const slot = slotName(key, lock.slots[lock.keys.indexOf(key)] ?? 0);
          return { lock, name: namesUnder(prefix).lock(slot) };
        }),
    );
    if (locks.length === 0) {
      refuseValue(
        "lose(key)",
        `no holder of ${describeValue(key)}`,
        "a key that a client of these masters holds",
      );
    }
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

  /** Makes all masters unreachable, until {@link restore}. @throws {RedlockClosedError} */
  fail(): void {
    this.#assertOpen();
    this.#reachable = false;
  }

  /** Ends {@link fail}. The masters still have their locks. @throws {RedlockClosedError} */
  restore(): void {
    this.#assertOpen();
    this.#reachable = true;
  }

  /**
   * Lets time pass: heartbeats, ends of locks and waits happen in order, with all promise jobs run between them. Concurrent calls
   * run one after the other.
   * @param ms whole milliseconds, at most 2147483647.
   * @throws {LockConfigError} for another `ms`, and without `virtualTime`; {@link RedlockClosedError}.
   */
  async advance(ms: number): Promise<void> {
    this.#assertOpen();
    const virtual = this.#virtual;
    if (virtual === undefined) {
      refuseValue("advance(ms)", "masters in real time", "new MemoryNodes({ virtualTime: true })");
    }
    const checked = checkMs("advance(ms)", ms, 0, LONGEST_TIMER);
    this.#passing = this.#passing.then(async () => await virtual.pass(checked));
    await this.#passing;
  }

  /**
   * Closes every client of these masters, in virtual time too. Signals of locks abort at once, also where {@link Redlock.close} gives
   * jobs some seconds. A job that does not end within one second of real time is left behind. Idempotent.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #connect(options: MemoryRedlockOptions, isOther: boolean): Redlock {
    this.#assertOpen();
    requireObject("options", options, "an object of options");
    const { nodes, restartGuard, ...rest } = options;
    refuse("nodes", nodes, "none: the masters are those in memory");
    refuse("restartGuard", restartGuard, "none: masters in memory do not restart");
    const names = this.#masters.map((_, index) => `memory-${index + 1}`);
    const redlock = new MemoryRedlock(
      { ...rest, nodes: names.map((name) => `redis://${name}`), restartGuard: false },
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
    this.#clients.set(redlock, { prefix: options.prefix ?? DEFAULT_PREFIX, isOther });
    return redlock;
  }

  #assertOpen(): void {
    if (this.#closed === undefined) return;
    throw new RedlockClosedError(
      "these MemoryNodes are closed; make new ones, or close them later",
    );
  }

  async #close(): Promise<void> {
    const clients = [...this.#clients.keys()];
    const closed = Promise.all(clients.map(async (client) => await client.close()));
    for (const client of clients) for (const lock of engineOf(client).held) lock.lose("closed");
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, LONGEST_CLOSE);
    });
    await Promise.race([closed, late]);
    clearTimeout(timer);
  }
}

function refuse(path: string, value: unknown, expected: string): void {
  if (value !== undefined) throw wrongOption(path, value, expected);
}
