import { LockConflictError, LockKeyError, LockUnavailableError, quoteKeys } from "../errors.ts";
import type { AcquireOutcome } from "../lock/acquire.ts";
import type { LockContext } from "../lock/context.ts";
import type { KeyHolder } from "../lock/operations.ts";
import { toHolder } from "./inspect.ts";
import type { Wish } from "./wish.ts";

/** The error of an attempt that ended for another reason than a holder. */
export function failureOf(
  outcome: AcquireOutcome & { kind: "unavailable" | "obstructed" },
  keys: readonly string[],
  { masters, nodeTimeout }: LockContext,
): LockUnavailableError | LockKeyError {
  if (outcome.kind === "unavailable") {
    const { votes } = outcome;
    return new LockUnavailableError({ keys, votes, quorum: masters.quorum, nodeTimeout });
  }
  return new LockKeyError({
    message: `${quoteKeys(keys)}: found something that is no lock where the lock is stored (${outcome.cause}), expected a lock or nothing`,
  });
}

/** The error of an attempt that met a holder. */
export function conflictOf(holder: KeyHolder | undefined, wish: Wish): LockConflictError {
  const expiresIn = holder === undefined || holder.expiresIn < 0 ? wish.ttl : holder.expiresIn;
  return new LockConflictError({
    keys: wish.keys,
    key: holder?.key ?? wish.keys[0] ?? "",
    holder: holder && toHolder(holder),
    retryAfter: expiresIn,
  });
}
