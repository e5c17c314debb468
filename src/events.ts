import { EventEmitter } from "node:events";
import type { LockConflict, LockLostError, NodeVote } from "./errors.ts";
import type { JobNames } from "./job-names.ts";
import { describeValue } from "./sentences.ts";

/** The stable codes of warnings; messages may change, codes do not. docs/events.md says what they mean. */
export type RedlockWarningCode =
  | "node-count"
  | "duplicate-server"
  | "no-quorum"
  | "longest-ttl-unknown"
  | "max-ttl"
  | "listener-failed"
  | "telemetry-failed"
  | "job-log-failed"
  | "put-aside-failed"
  | "queue-id-unknown"
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
  | "queue-server";

/** Something the user should know and the library goes on without. */
export interface RedlockWarning {
  /** A stable name, such as `node-count`. */
  code: RedlockWarningCode;
  message: string;
  cause?: unknown;
}

/** What has changed in the rules of `loadLocks`. */
export interface RulesChange {
  /** How many rules there are now. */
  rules: number;
  /** Rules that are new, by their place in the list of now, from 0. A rule that was edited is new. */
  added: readonly number[];
  /** Rules that are gone, by their place in the list before. */
  removed: readonly number[];
  /** Whether those that are in both lists stand in another order: the first rule that matches counts. */
  reordered: boolean;
}

/** Every event of a `Redlock` and what it carries. Durations are milliseconds. */
export interface RedlockEvents {
  /**
   * A lock was granted. `waited` counts from when it was asked for; for a job that was parked, from when it was first
   * refused. `refused` says whether it was refused at all.
   */
  acquired: [
    {
      keys: readonly string[];
      fencingToken: number;
      waited: number;
      refused: boolean;
      rounds: number;
    } & JobNames,
  ];
  /** Somebody else holds a key we asked for, or comes first. */
  conflict: [LockConflict & JobNames];
  /** A job was put aside because its key is taken or the masters are out of reach. */
  parked: [
    {
      keys: readonly string[];
      job: string;
      queue: string;
      reason: "conflict" | "unavailable" | "lost";
      delay: number;
    },
  ];
  /** A parked job, `prefix:queue:id`, was brought back because it is its turn. */
  woken: [{ job: string; queue: string }];
  /** A job completed without having run: `superseded` when a later job stands for it. */
  skipped: [
    {
      keys: readonly string[];
      job: string;
      queue: string;
      reason: "conflict" | "max-wait" | "superseded";
    },
  ];
  /** The deadline of a lock moved. */
  extended: [{ keys: readonly string[]; fencingToken: number; remaining: number }];
  /** A lock was lost; its signal has been aborted. */
  lost: [{ keys: readonly string[]; fencingToken: number; error: LockLostError } & JobNames];
  /** A lock was given back. */
  released: [
    {
      keys: readonly string[];
      fencingToken: number;
      outcome: "released" | "expired";
      held: number;
      votes: readonly NodeVote[];
    } & JobNames,
  ];
  /** A master can be reached. */
  "node:up": [{ node: string }];
  /** A master cannot be reached any more, or not yet. */
  "node:down": [{ node: string; cause: string }];
  /** A master gives no vote for so many milliseconds, because it may have forgotten locks. */
  "node:quarantined": [{ node: string; remaining: number }];
  /** New rules count, for jobs that are taken up from now on: `locks.reload()`. */
  reloaded: [RulesChange];
  /** See {@link RedlockWarning}. Without a listener it goes to `process.emitWarning`. */
  warning: [RedlockWarning];
}

/**
 * An emitter whose listeners can do no harm: what a listener throws becomes a `warning`, and never reaches the
 * code that emitted.
 */
export class SafeEmitter extends EventEmitter<RedlockEvents> {
  /** Whether there is a listener: what an event carries need not be made else. */
  hears(event: keyof RedlockEvents): boolean {
    return this.listenerCount(event) > 0;
  }

  override emit<K extends keyof RedlockEvents>(event: K, ...args: RedlockEvents[K]): boolean;
  /** Emits an event of your own. The types of newer versions of Node ask for this form. */
  override emit(event: string | symbol, ...args: unknown[]): boolean;
  override emit(event: keyof RedlockEvents, ...args: unknown[]): boolean {
    let called = false;
    // Nearly always, and cheaper than a list of nobody.
    if (event !== "warning" && !this.hears(event)) return false;
    // EventEmitter.emit would stop at the first listener that throws.
    for (const listener of this.rawListeners(event)) {
      called = true;
      try {
        const result: unknown = Reflect.apply(listener, this, args);
        if (result instanceof Promise)
          result.catch((cause: unknown) => this.#listenerFailed(event, cause));
      } catch (cause) {
        this.#listenerFailed(event, cause);
      }
    }
    if (!called && event === "warning") warnProcess((args as RedlockEvents["warning"])[0]);
    return called;
  }

  #listenerFailed(event: keyof RedlockEvents, cause: unknown): void {
    const warning: RedlockWarning = {
      code: "listener-failed",
      message: `a listener of "${event}" threw`,
      cause,
    };
    // A warning listener that throws must not be told about itself.
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
