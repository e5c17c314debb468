import { EventEmitter } from "node:events";
import type { LockConflict, LockLostError, NodeVote } from "./errors.ts";
import type { JobNames } from "./job-names.ts";
import { describeValue } from "./sentences.ts";

/** The stable codes of warnings, see docs/events.md; messages may change. */
export type RedlockWarningCode =
  | "node-count"
  | "duplicate-server"
  | "refused"
  | "no-quorum"
  | "longest-ttl-unknown"
  | "max-ttl"
  | "limit"
  | "listener-failed"
  | "telemetry-failed"
  | "job-log-failed"
  | "delay-failed"
  | "queue-id-unknown"
  | "clock-ahead"
  | "cancel-failed"
  | "closed-before-worker"
  | "max-started-attempts"
  | "limiter"
  | "deduplication-replace"
  | "deduplication-keep-last"
  | "scheduler-delay"
  | "ttl-outlasts-job"
  | "max-wait-ignored"
  | "strict-order-ignored"
  | "retry-order-ignored"
  | "queue-server";

/** A problem that does not stop the library. */
export interface RedlockWarning {
  /** A stable name, such as `node-count`. */
  code: RedlockWarningCode;
  message: string;
  cause?: unknown;
}

/** A change of the rules of `loadLocks`. */
export interface RulesChange {
  /** How many rules there are after the change. */
  rules: number;
  /** New rules, by their index in the new list. An edited rule is new. */
  added: readonly number[];
  /** Removed rules, by their index in the old list. */
  removed: readonly number[];
  /** Whether the rules of both lists are in another order: the first rule that matches counts. */
  reordered: boolean;
}

/** The slots of a lock in events; absent where no key of the lock has a limit. */
export interface HeldSlots {
  /** That of the first key. */
  slot: number;
  /** That of each key, in the order of `keys`. */
  slots: readonly number[];
}

/** The events of a `Redlock` and their data. Durations are milliseconds. */
export interface RedlockEvents {
  /**
   * A lock was granted. `waited` counts from the request; for a job that was parked, from its first conflict. `refused` is
   * true when there was a conflict at all.
   */
  acquired: [
    {
      keys: readonly string[];
      fencingToken: number;
      waited: number;
      refused: boolean;
      rounds: number;
    } & JobNames &
      Partial<HeldSlots>,
  ];
  /** Another client holds a requested key, or the key is reserved for a waiter. */
  conflict: [LockConflict & JobNames];
  /** A job was delayed: its key is taken, its lock was lost, or too few masters answer. */
  parked: [
    {
      keys: readonly string[];
      job: string;
      queue: string;
      reason: "conflict" | "unavailable" | "lost";
      delay: number;
    },
  ];
  /** A parked job, `prefix:queue:id`, was woken: a key is reserved for it. */
  woken: [{ job: string; queue: string }];
  /** A job completed without having run: `superseded` by a later job, for example. */
  skipped: [
    {
      keys: readonly string[];
      job: string;
      queue: string;
      reason: "conflict" | "max-wait" | "max-age" | "superseded";
    },
  ];
  /** The deadline of a lock moved. */
  extended: [
    { keys: readonly string[]; fencingToken: number; remaining: number } & Partial<HeldSlots>,
  ];
  /** A lock was lost; its signal has been aborted. */
  lost: [
    { keys: readonly string[]; fencingToken: number; error: LockLostError } & JobNames &
      Partial<HeldSlots>,
  ];
  /** A lock was released. */
  released: [
    {
      keys: readonly string[];
      fencingToken: number;
      outcome: "released" | "expired";
      held: number;
      votes: readonly NodeVote[];
    } & JobNames &
      Partial<HeldSlots>,
  ];
  /** A master can be reached. */
  "node:up": [{ node: string }];
  /** A master cannot be reached. */
  "node:down": [{ node: string; cause: string }];
  /** A master gives no vote for `remaining` ms, because it may have forgotten locks. */
  "node:quarantined": [{ node: string; remaining: number }];
  /** New rules are in force for jobs that start from now on: `locks.reload()`. */
  reloaded: [RulesChange];
  /** A {@link RedlockWarning}. Without a listener it goes to `process.emitWarning`. */
  warning: [RedlockWarning];
}

type Listener<K extends keyof RedlockEvents> = (...args: RedlockEvents[K]) => unknown;

/**
 * An emitter that isolates its listeners: an error of a listener becomes a `warning`, and never reaches the code that
 * emitted the event.
 */
export class SafeEmitter extends EventEmitter {
  /** Whether there is a listener: without one, the data of an event need not be made. */
  hears(event: keyof RedlockEvents): boolean {
    return this.listenerCount(event) > 0;
  }

  // The types of EventEmitter let a misspelt name pass, whose listener would never run.
  override on<K extends keyof RedlockEvents>(event: K, listener: Listener<K>): this {
    return super.on(event, listener);
  }

  override once<K extends keyof RedlockEvents>(event: K, listener: Listener<K>): this {
    return super.once(event, listener);
  }

  override off<K extends keyof RedlockEvents>(event: K, listener: Listener<K>): this {
    return super.off(event, listener);
  }

  override emit<K extends keyof RedlockEvents>(event: K, ...args: RedlockEvents[K]): boolean;
  /** Emits an event of the user. The types of newer versions of Node require this form. */
  override emit(event: string | symbol, ...args: unknown[]): boolean;
  override emit(event: keyof RedlockEvents, ...args: unknown[]): boolean {
    if (!this.hears(event)) {
      if (event === "warning") warnProcess((args as RedlockEvents["warning"])[0]);
      return false;
    }
    // EventEmitter.emit stops at the first listener that throws.
    for (const listener of this.rawListeners(event)) {
      try {
        const result: unknown = Reflect.apply(listener, this, args);
        if (result instanceof Promise)
          result.catch((cause: unknown) => this.#listenerFailed(event, cause));
      } catch (cause) {
        this.#listenerFailed(event, cause);
      }
    }
    return true;
  }

  #listenerFailed(event: keyof RedlockEvents, cause: unknown): void {
    const warning: RedlockWarning = {
      code: "listener-failed",
      message: `a listener of "${event}" threw`,
      cause,
    };
    // A warning listener that throws must not get its own error.
    if (event === "warning") warnProcess(warning);
    else this.emit("warning", warning);
  }
}

function warnProcess({ code, message, cause }: RedlockWarning): void {
  process.emitWarning(message, {
    type: "RedlockWarning",
    code,
    ...(cause === undefined
      ? {}
      : { detail: cause instanceof Error ? (cause.stack ?? cause.message) : describeValue(cause) }),
  });
}
