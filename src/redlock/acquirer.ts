import { RedlockClosedError } from "../errors.ts";
import type { SafeEmitter } from "../events.ts";
import type { Heartbeat } from "../heartbeat/heartbeat.ts";
import type { Line } from "../line/line.ts";
import { encodeHome, placeOf, type Standing } from "../line/place.ts";
import { acquire, type AcquireOutcome } from "../lock/acquire.ts";
import type { LockContext } from "../lock/context.ts";
import type { Caller } from "../lock/claim.ts";
import { type Stop, throwIfAborted } from "../on-abort.ts";
import { HeldLock } from "./held-lock.ts";
import type { RedlockSettings } from "./options.ts";
import { conflictOf, failureOf, ReplacedError } from "./outcomes.ts";
import { Turn } from "./turn.ts";
import { checkTtl, type Wish } from "./wish.ts";

/**
 * The release of a lock that is not ours wakes nobody: while one is in the way, a waiter looks by itself after this many
 * ms at first, doubling up to the longest.
 */
const SHORTEST_POLL = 50;
const LONGEST_POLL = 1_000;
/** A waiter that was not called for so many ms tries anyway, and joins the line again. */
const LONGEST_SLEEP = 10_000;

/** What an {@link Acquirer} works with. */
interface AcquirerParts {
  readonly settings: RedlockSettings;
  readonly context: LockContext;
  readonly heartbeat: Heartbeat;
  readonly line: Line;
  readonly events: SafeEmitter;
  /** All held locks: granted ones are entered, released ones taken out. */
  readonly held: Set<HeldLock>;
  /** Aborts when the `Redlock` closes. */
  readonly closing: AbortSignal;
}

/** How an acquisition goes about its work. */
export interface Manner {
  /** See {@link HeldLock.scoped}. */
  readonly scoped: boolean;
  /** See {@link HeldLock.isJob}. */
  readonly isJob?: boolean;
  /** Who stands in line, when that outlives the acquisition: its place is kept when it ends with a conflict. */
  readonly standing?: Standing;
  /** True when `standing` may be in line already. */
  readonly inLine?: boolean;
  /**
   * To join the lines of taken keys at the first conflict, as one that arrives; `"replacing"` to stand for earlier ones from
   * then on.
   */
  readonly joins?: boolean | "replacing";
  /** What ends the wait, once the attempt that is under way is over. */
  readonly stops?: readonly Stop[];
  /** What ends the acquisition at once, as the signal of its options does: the attempt goes on without its caller. */
  readonly cancel?: Stop | undefined;
}

/** Attempts and the waiting between them, until a lock is held or there is an error to throw. */
export class Acquirer {
  readonly #parts: AcquirerParts;
  #waiters = 0;

  constructor(parts: AcquirerParts) {
    this.#parts = parts;
  }

  /** Fulfils a wish. */
  async acquire(wish: Wish, manner: Manner): Promise<HeldLock> {
    const { standing, inLine = false, joins = false, stops = [] } = manner;
    const { context, closing, events, line } = this.#parts;
    const { clock } = context;
    const startedAt = clock.now();
    const signals = [closing, ...stops];
    const wanted = (): boolean => !signals.some(({ aborted }) => aborted);
    let turn: Turn | undefined;
    let poll = SHORTEST_POLL;
    let place = standing;
    let keepsPlace = false;
    try {
      for (let attempt = 1; ; attempt++) {
        const caller = this.#callerOf(place, {
          inLine: turn !== undefined || inLine,
          joins: turn === undefined ? joins : false,
        });
        const outcome = await this.#attempt({ ...wish, caller, wanted });
        if (outcome.kind === "granted") {
          keepsPlace = true;
          return await this.#take(wish, manner, outcome, clock.now() - startedAt);
        }
        this.#throwIfStopped(stops);
        if (outcome.kind !== "conflict") throw failureOf(outcome, wish.keys, context);
        if (outcome.holder?.later !== undefined) throw new ReplacedError(outcome.holder.later);
        const conflict = conflictOf(outcome.holder, wish);
        if (attempt === 1) {
          const { keys, key, holder, reserved, retryAfter, ahead } = conflict;
          const kept = reserved === undefined ? {} : { reserved };
          events.emit("conflict", { keys, key, holder, ...kept, retryAfter, ahead });
        }
        const left = wish.waitTimeout - (clock.now() - startedAt);
        if (left <= 0) {
          keepsPlace = standing !== undefined;
          throw conflict;
        }
        place = this.#nextStanding(place);
        turn ??= new Turn(line, place, wish.keys);
        const heard = await turn.join(place, attempt - 1, 2 * wish.ttl);
        const foreign = outcome.holder !== undefined && outcome.holder.token === undefined;
        const sleep = foreign || !heard ? poll : LONGEST_SLEEP;
        await turn.come(clock, Math.min(left, sleep), signals);
        this.#throwIfStopped(stops);
        poll = Math.min(poll * 2, LONGEST_POLL);
      }
    } finally {
      turn?.end();
      // Who stands beyond the acquisition may be in line again by now, and leaves it by itself.
      keepsPlace ||= standing !== undefined && stops.some(({ aborted }) => aborted);
      if (turn !== undefined && place !== undefined && !keepsPlace)
        void line.leave(place, wish.keys);
    }
  }

  /** One attempt; those who wait are not left waiting by what it leaves behind. */
  async #attempt(request: Wish & { caller: Caller; wanted(): boolean }): Promise<AcquireOutcome> {
    const awaited = new Set<string>();
    const outcome = await acquire(this.#parts.context, {
      ...request,
      rolledBack: (_, turns) => {
        for (const [index, { waiting }] of turns.entries()) {
          if (waiting > 0) awaited.add(request.keys[index] ?? "");
        }
      },
    });
    // A holder serves the line when it is done. Where there is none, nobody else might.
    const served = outcome.kind === "granted" || (outcome.kind === "conflict" && outcome.holder);
    if (!served && awaited.size > 0) void this.#parts.line.look([...awaited]);
    return outcome;
  }

  #callerOf(
    standing: Standing | undefined,
    { inLine, joins }: { inLine: boolean; joins: boolean | "replacing" },
  ): Caller {
    const { context, line } = this.#parts;
    const { home = "", place = "", run = 0, priority = 0, replaceable = false } = standing ?? {};
    const { behind } = standing ?? {};
    const detail =
      joins !== false && standing !== undefined ? line.detailOf(standing, "arriving") : "";
    return {
      process: context.process,
      home: line.isOpen(home) ? encodeHome(home) : "",
      // Who was never in line has neither a turn nor anything to take out.
      place: inLine || joins !== false || replaceable || behind !== undefined ? place : "",
      run,
      replaceable,
      behind: behind && { priority, detail: line.absenteeDetail, others: behind },
      joins: detail === "" ? undefined : { priority, detail, replaces: joins === "replacing" },
    };
  }

  /** A later entry in line is told from an earlier one of the same run. */
  #nextStanding(known: Standing | undefined): Standing {
    if (known !== undefined) return { ...known, entry: (known.entry ?? 0) + 1 };
    const { process, clock } = this.#parts.context;
    const home = `~${process}`;
    const place = placeOf(clock.wall(), home, String((this.#waiters += 1)));
    return { place, priority: 0, home, run: 1, replaceable: false };
  }

  async #take(
    wish: Wish,
    { scoped, isJob = false, stops = [] }: Manner,
    { tenure, rounds }: AcquireOutcome & { kind: "granted" },
    waited: number,
  ): Promise<HeldLock> {
    const { settings, context, heartbeat, line, events, held, closing } = this.#parts;
    const { clock, masters, nodeTimeout } = context;
    const lock = new HeldLock({
      tenure,
      heartbeat,
      line,
      interval: wish.heartbeat,
      clock,
      events,
      quorum: masters.quorum,
      nodeTimeout,
      checkTtl: (ttl) => checkTtl(settings, ttl),
      onReleased: (released) => held.delete(released),
      scoped,
      isJob,
    });
    if (closing.aborted || stops.some(({ aborted }) => aborted)) {
      // Nobody wants it any more; it must not linger until its ttl is over.
      await lock.release();
      this.#throwIfStopped(stops);
    }
    held.add(lock);
    const { keys, fencingToken } = lock;
    events.emit("acquired", { keys, fencingToken, waited, rounds });
    return lock;
  }

  #throwIfStopped(stops: readonly Stop[]): void {
    if (this.#parts.closing.aborted) throw new RedlockClosedError();
    throwIfAborted(stops);
  }
}
