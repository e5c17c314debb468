import type { Names } from "./stored-lock.ts";

/** Who asks, and for what. */
export interface LockIdentity {
  readonly names: Names;
  /** Sorted, without duplicates: every client asks in the same order. */
  readonly keys: readonly string[];
  /** New for every acquisition; the credential of extend and release. */
  readonly owner: string;
  readonly token: number;
  /** Text that operators see. */
  readonly holder: string;
  /** False to vote without looking at the master's guard. */
  readonly guarded: boolean;
  /** Who asks, as lines know it. */
  readonly requester: Requester;
}

/** Who asks for a key, or gives it back, as the lines know it. */
export interface Requester {
  /** The process. */
  readonly process: string;
  /** The home whose waiters the caller can wake without a message; empty for none. */
  readonly queueId: string;
  /** Its place in the lines of the keys, if it may have one there; else empty. */
  readonly position: string;
  /** Counts its tries: a later one of the same place is not taken out. */
  readonly run: number;
  /** True when a later place that replaces it is a reason not to have the keys. */
  readonly replaceable: boolean;
  /**
   * How it keeps to the order of lines also at a free key: by its priority, those that come before it and may be in no line yet, and
   * how they are noted there; `undefined` for one that does not.
   */
  readonly behind?:
    | {
        readonly priority: number;
        readonly record: string;
        readonly others: readonly { readonly position: string; readonly priority: number }[];
      }
    | undefined;
  /** How it joins the lines of keys that are taken, in the same step; `undefined` for one that does not. */
  readonly joins:
    | {
        readonly priority: number;
        readonly record: string;
        /** True when earlier ones are replaced from then on, and not only when it joins again. */
        readonly replaces: boolean;
      }
    | undefined;
}

/** What a master stores for the claim. */
export function valueOf({ token, owner, holder }: LockIdentity): string {
  return `${token}:${owner}:${holder}`;
}

/** The names of the lock and of its marks, for each key. */
export function lockAndFence({ names, keys }: LockIdentity): string[] {
  return keys.flatMap((key) => [names.lock(key), names.fence(key)]);
}
