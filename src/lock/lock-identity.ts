import type { Names } from "./stored-lock.ts";

/** What a lock is on the masters: which keys, for which owner and token. It stays the same from acquire to release. */
export interface LockIdentity {
  readonly names: Names;
  /** Sorted, without duplicates: every client asks in the same order. */
  readonly keys: readonly string[];
  /** The names of the slots that are asked for, in the order of the keys; the keys themselves where none has a limit. */
  readonly slots: readonly string[];
  /** How many holders each key may have; `undefined` when each may have one. */
  readonly limits: readonly number[] | undefined;
  /** New for every acquisition; extend and release need it. */
  readonly owner: string;
  readonly token: number;
  /** Text that operators see. */
  readonly holder: string;
  /** False to vote without checking the master's guard. */
  readonly guarded: boolean;
  readonly requester: Requester;
}

/** A lock, and how long the masters are asked to keep it. */
export interface TimedIdentity extends LockIdentity {
  /** Milliseconds. */
  readonly ttl: number;
}

/** The job or call that acquires or releases a lock, as the wait lists know it. */
export interface Requester {
  /** The process. */
  readonly process: string;
  /** The queue whose waiters the process can wake without a message; empty for none. */
  readonly queueId: string;
  /** Its position in the wait lists of the keys, also when it has not joined them: others may have added it. Empty for none. */
  readonly position: string;
  /** Counts its runs: a run does not remove the waiter of a later run from the same position. */
  readonly run: number;
  /** True when a later position that replaces it is a reason not to grant the keys. */
  readonly replaceable: boolean;
  /** Whether its keys stay reserved for it until it is done, also when it fails or dies in between. @defaultValue false */
  readonly keepsRetries?: boolean | undefined;
  /**
   * For strict order, also at a free key: its priority, the waiters before it that may be in no wait list yet, with the keys that both
   * want, and the record by which they are added; `undefined` without strict order.
   */
  readonly behind?:
    | {
        readonly priority: number;
        readonly record: string;
        readonly others: readonly {
          readonly position: string;
          readonly priority: number;
          readonly keys: readonly string[];
        }[];
      }
    | undefined;
  /** How it joins the wait lists of keys that are taken, in the same step; `undefined` when it does not. */
  readonly joins:
    | {
        readonly priority: number;
        readonly record: string;
        /** True when it replaces earlier waiters from then on, and not only when it joins again. */
        readonly replaces: boolean;
      }
    | undefined;
}

/** A requester that is in no wait list, and joins none. */
export function unlisted(process: string): Requester {
  return {
    process,
    queueId: "",
    position: "",
    run: 0,
    replaceable: false,
    joins: undefined,
  };
}

/** The value that a master stores for the lock. */
export function valueOf({ token, owner, holder }: LockIdentity): string {
  return `${token}:${owner}:${holder}`;
}

/** The names of the lock and of its marks, for each slot. */
export function lockAndFence({ names, slots }: LockIdentity): string[] {
  return slots.flatMap((slot) => [names.lock(slot), names.fence(slot)]);
}
