import { globOf } from "../../lock/glob.ts";
import { type Reading, readLimits, type ReadReply } from "../../lock/read-operation.ts";
import type { SlotContent, SlotsReading } from "../../lock/read-slots-operation.ts";
import { keyIn, prefixOf, type Scanning, type ScanReply } from "../../lock/scan-operation.ts";
import { slotNames } from "../../lock/slots.ts";
import { parseStoredLock } from "../../lock/stored-lock.ts";
import { type SimulatedGuard, unarmed } from "./simulated-guard.ts";
import type { SimulatedHooks } from "./simulated-hooks.ts";
import type { SimulatedLocks } from "./simulated-locks.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";

/** The twins of the operations for operators, which change nothing: `read`, `read slots` and `scan`. */
export class SimulatedReads {
  readonly #redis: SimulatedRedis;
  readonly #guard: SimulatedGuard;
  readonly #locks: SimulatedLocks;
  readonly #hooks: SimulatedHooks;

  constructor(
    redis: SimulatedRedis,
    guard: SimulatedGuard,
    locks: SimulatedLocks,
    hooks: SimulatedHooks,
  ) {
    this.#redis = redis;
    this.#guard = guard;
    this.#locks = locks;
    this.#hooks = hooks;
  }

  read({ names, key, from = 0, count = 20 }: Reading, server: string): ReadReply {
    const lock = names.lock(key);
    const current = this.#redis.get(lock);
    const guard = this.#guard.guardOf(names.guard);
    const why = unarmed(guard, server);
    const holder = current === undefined ? undefined : parseStoredLock(current);
    return {
      guard: why ?? "armed",
      quarantine: why === undefined ? this.#guard.quarantineOf(guard) : 0,
      agreedTtl: why === undefined ? (guard?.agreed ?? 0) : 0,
      holder: holder && { ...holder, expiresIn: this.#redis.pttl(lock) },
      foreignType: undefined,
      ...readLimits(this.#redis.zrange(names.limits(key))),
      mark: this.#locks.marksOf(names.fence(key)).mark,
      ...this.#hooks.waitersOf(names, key, from, count),
    };
  }

  readSlots({ names, key, count }: SlotsReading): SlotContent[] {
    return slotNames(key, count).flatMap((name, slot) => {
      const lock = names.lock(name);
      const current = this.#redis.get(lock);
      if (current === undefined) return [];
      const holder = { ...parseStoredLock(current), expiresIn: this.#redis.pttl(lock) };
      return { slot, holder, foreignType: undefined };
    });
  }

  /** All in one step. */
  scan({ names, pattern, of }: Scanning): ScanReply {
    const matches = globOf(pattern);
    const areLists = of === "wait lists";
    const prefix = prefixOf(names, of);
    const keys = this.#redis
      .keys()
      .filter((name) => name.startsWith(prefix))
      .map((name) => keyIn(name, names, of))
      .filter((key) => key !== undefined && matches(key))
      .map((key = "") => ({
        key,
        waiting: areLists ? this.#hooks.waitersOf(names, key, 0, 0).waiting : 0,
      }));
    return { cursor: undefined, keys };
  }
}
