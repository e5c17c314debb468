import type { Holder, HolderJob } from "../errors.ts";
import type { StoredLock } from "../lock/stored-lock.ts";
import { proposedAt } from "../lock/tokens.ts";

/** A job that holds a key, for operators. */
export interface HoldingJob {
  /** Queue and id, such as `bull:invoices:17`; cut when it is long. */
  readonly job: string;
  /** From 1. */
  readonly attempt: number;
  readonly host: string;
  readonly pid: number;
}

const FORM = /^(.+) attempt (\d+) \((.+) pid (\d+)\) #[\w-]+$/su;
/** The length of prefix and queue in the name of the job, in base 36. */
const MEASURE = /#([\da-z]{2})-[\w-]{9}$/;

/** The end of the text that a job stores: it distinguishes jobs, and means nothing to people. */
const MARK = /(?<=\)) #[\w-]{12}$/;

const stored = new WeakMap<Holder, StoredLock>();

/** Reads the holder from a stored value. @param slot the slot that it holds, where the key has a limit. */
export function toHolder(lock: StoredLock, slot?: number): Holder {
  const { token, text, kept } = lock;
  const job = jobIn(text);
  const holder: Holder = {
    text: text && withoutMark(text),
    fencingToken: token,
    since: token === undefined ? undefined : proposedAt(token),
    ...(job === undefined ? {} : { job }),
    ...(slot === undefined ? {} : { slot }),
    ...(kept ? { kept } : {}),
  };
  stored.set(holder, lock);
  return holder;
}

/** Reads what a job stored about itself as the holder of a key; `undefined` for other holders. */
export function readHoldingJob(text: string | undefined): HoldingJob | undefined {
  const [, job, attempt, host, pid] = FORM.exec(text ?? "") ?? [];
  if (job === undefined || host === undefined) return undefined;
  return { job, attempt: Number(attempt), host, pid: Number(pid) };
}

/** Prefixes and ids may contain colons, names of queues do not: the length in the mark separates all three. */
function jobIn(text: string | undefined): HolderJob | undefined {
  const [, measure = ""] = MEASURE.exec(text ?? "") ?? [];
  const holding = measure === "" ? undefined : readHoldingJob(text);
  const end = parseInt(measure, 36);
  if (holding?.job[end] !== ":") return undefined;
  const queue = holding.job.slice(holding.job.lastIndexOf(":", end - 1) + 1, end);
  return { queue, id: holding.job.slice(end + 1), attempt: holding.attempt };
}

/** The text of a holder without its mark, for people. */
export function withoutMark(text: string): string {
  return text.replace(MARK, "");
}

/** The text of a holder as it is stored, with its mark. */
export function storedTextOf(holder: Holder | undefined): string | undefined {
  return holder && (stored.get(holder)?.text ?? holder.text);
}

/** The random owner of a lock, which its release names; `undefined` for another program, and for an object made by hand. */
export function ownerOf(holder: Holder | undefined): string | undefined {
  const lock = holder && stored.get(holder);
  return lock?.token === undefined ? undefined : lock.id;
}
