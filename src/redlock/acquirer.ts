import { RedlockClosedError } from "../errors.ts";
import type { SafeEmitter } from "../events.ts";
import type { Heartbeat } from "../heartbeat/heartbeat.ts";
import { acquire, type AcquireOutcome } from "../lock/acquire.ts";
import type { LockContext } from "../lock/context.ts";
import { HeldLock } from "./held-lock.ts";
import type { RedlockSettings } from "./options.ts";
import { conflictOf, failureOf } from "./outcomes.ts";
import { watchKey, type Watch } from "./wakeups.ts";
import { checkTtl, type Wish } from "./wish.ts";

/** A waiter looks by itself after this many ms at first, doubling up to the longest: messages may be lost. */
const SHORTEST_POLL = 50;
const LONGEST_POLL = 1_000;

/** What an {@link Acquirer} works with. */
interface AcquirerParts {
  readonly settings: RedlockSettings;
  readonly context: LockContext;
  readonly heartbeat: Heartbeat;
  readonly events: SafeEmitter;
  /** All held locks: granted ones are entered, released ones taken out. */
  readonly held: Set<HeldLock>;
  /** Aborts when the `Redlock` closes. */
  readonly closing: AbortSignal;
}

/** Attempts and the waiting between them, until a lock is held or there is an error to throw. */
export class Acquirer {
  readonly #parts: AcquirerParts;

  constructor(parts: AcquirerParts) {
    this.#parts = parts;
  }

  /** Fulfils a wish. `scoped`: see {@link HeldLock.scoped}. */
  async acquire(wish: Wish, scoped: boolean): Promise<HeldLock> {
    const { context, closing, events } = this.#parts;
    const { clock, random, masters, names } = context;
    const startedAt = clock.now();
    const wanted = (): boolean => !closing.aborted && wish.signal?.aborted !== true;
    const signals = [closing, ...(wish.signal === undefined ? [] : [wish.signal])];
    let watch: Watch | undefined;
    let poll = SHORTEST_POLL;
    try {
      for (let attempt = 1; ; attempt++) {
        watch?.reset();
        const outcome = await acquire(context, { ...wish, wanted });
        if (outcome.kind === "granted") {
          return await this.#take(wish, scoped, outcome, clock.now() - startedAt);
        }
        if (outcome.kind !== "conflict") throw failureOf(outcome, wish.keys, context);
        this.#throwIfStopped(wish);
        const conflict = conflictOf(outcome.holder, wish);
        if (attempt === 1) {
          const { keys, key, holder, retryAfter } = conflict;
          events.emit("conflict", { keys, key, holder, retryAfter });
        }
        const left = wish.waitTimeout - (clock.now() - startedAt);
        if (left <= 0) throw conflict;
        if (watch?.key !== conflict.key) {
          watch?.close();
          watch = watchKey(masters, names, clock, conflict.key);
        }
        await watch.freed(Math.min(left, poll * (0.75 + random.fraction() / 2)), signals);
        this.#throwIfStopped(wish);
        poll = Math.min(poll * 2, LONGEST_POLL);
      }
    } finally {
      watch?.close();
    }
  }

  async #take(
    wish: Wish,
    scoped: boolean,
    { tenure, rounds }: AcquireOutcome & { kind: "granted" },
    waited: number,
  ): Promise<HeldLock> {
    const { settings, context, heartbeat, events, held, closing } = this.#parts;
    const { clock, masters, nodeTimeout } = context;
    const lock = new HeldLock({
      tenure,
      heartbeat,
      interval: wish.heartbeat,
      clock,
      events,
      quorum: masters.quorum,
      nodeTimeout,
      checkTtl: (ttl) => checkTtl(settings, ttl),
      onReleased: (released) => held.delete(released),
      scoped,
    });
    if (closing.aborted || wish.signal?.aborted === true) {
      // Nobody wants it any more; it must not linger until its ttl is over.
      await lock.release();
      this.#throwIfStopped(wish);
    }
    held.add(lock);
    const { keys, fencingToken } = lock;
    events.emit("acquired", { keys, fencingToken, waited, rounds });
    return lock;
  }

  #throwIfStopped({ signal }: Wish): void {
    if (this.#parts.closing.aborted) throw new RedlockClosedError();
    signal?.throwIfAborted();
  }
}
