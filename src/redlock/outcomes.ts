import { type LockConflict, LockKeyError, LockUnavailableError } from "../errors.ts";
import type { AcquireOutcome } from "../lock/acquire.ts";
import type { SafeEmitter } from "../events.ts";
import { type AskingJob, namesOf } from "../job-names.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { KeyHolder } from "../lock/acquire-operation.ts";
import { toHolder } from "./holder.ts";
import type { AcquireRequest } from "./acquire-request.ts";
import { waiterAt } from "./inspect.ts";
import { printable } from "../printable.ts";
import { quoteKeys } from "../sentences.ts";

/** A later job supersedes this one. Only the job wrapper sees it. */
export class ReplacedError extends Error {
  override readonly name = "ReplacedError";

  /** The position of the later one. */
  readonly by: string;

  constructor(by: string) {
    super("a later job supersedes this one");
    this.by = by;
  }
}

/** The error of an attempt that ended without a holder. */
export function failureOf(
  outcome: AcquireOutcome & { kind: "unavailable" | "obstructed" | "replaced" },
  keys: readonly string[],
  { masters, nodeTimeout, names: { prefix } }: LockContext,
): LockUnavailableError | LockKeyError | ReplacedError {
  if (outcome.kind === "replaced") return new ReplacedError(outcome.by);
  if (outcome.kind === "unavailable") {
    const { votes } = outcome;
    return new LockUnavailableError({ keys, votes, quorum: masters.quorum, nodeTimeout });
  }
  const [one = ""] = keys;
  const name = keys.length === 1 ? `${prefix}${one}` : `${prefix}<key>`;
  const where = `under ${printable(name)}, or under the names of what belongs to it, such as ${prefix}@fence:<key>`;
  return new LockKeyError({
    message: `${quoteKeys(keys)}: found a value of another type ${where} (${outcome.cause}), expected a lock or nothing`,
  });
}

/** The conflict of an attempt that met a holder. */
export function conflictOf(
  holder: KeyHolder | undefined,
  request: Pick<AcquireRequest, "keys" | "limits" | "ttl">,
): LockConflict {
  const persistent = holder !== undefined && holder.expiresIn < 0;
  const expiresIn = holder === undefined || persistent ? request.ttl : holder.expiresIn;
  const { keys, limits } = request;
  const key = holder?.key ?? keys[0] ?? "";
  const limit = limits?.[keys.indexOf(key)] ?? 1;
  const slot = limit === 1 ? undefined : holder?.slot;
  const { job } = holder?.reservation ? waiterAt(holder.id) : {};
  return {
    keys,
    key,
    holder: holder === undefined || holder.reservation ? undefined : toHolder(holder, slot),
    ...(limit === 1 ? {} : { limit }),
    ...(holder?.reservation === true ? { reserved: true } : {}),
    ...(job === undefined ? {} : { reservedFor: job }),
    ...(persistent ? { persistent } : {}),
    retryAfter: expiresIn,
    ahead: holder?.ahead ?? 0,
    ...(holder === undefined || holder.waiting < 0 ? {} : { waiting: holder.waiting }),
  };
}

/** Emits `conflict`, if it has a listener. */
export function emitConflict(
  events: SafeEmitter,
  conflict: LockConflict,
  job: AskingJob | undefined,
): void {
  if (events.hears("conflict")) events.emit("conflict", { ...conflict, ...namesOf(job) });
}
