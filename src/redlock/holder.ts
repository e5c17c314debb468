import type { Holder, HolderJob } from "../errors.ts";
import type { StoredLock } from "../lock/stored-lock.ts";
import { proposedAt } from "../lock/tokens.ts";

/** A job that holds a key, as operators want to know it. */
export interface HoldingJob {
  /** Queue and id, such as `bull:invoices:17`; cut when it is long. */
  readonly job: string;
  /** From 1. */
  readonly attempt: number;
  readonly host: string;
  readonly pid: number;
}

const FORM = /^(.+) attempt (\d+) \((.+) pid (\d+)\) #[\w-]+$/su;
/** A mark that says, in base 36, how many characters of the name are the queue's with its prefix. */
const MEASURE = /#([\da-z]{2})-[\w-]{9}$/;

/** What ends the text that a job stores: it tells jobs apart, and says nothing to people. */
const MARK = /(?<=\)) #[\w-]{12}$/;

const stored = new WeakMap<Holder, string>();

/** Says who is behind a stored value. */
export function toHolder({ token, text, kept }: StoredLock): Holder {
  const job = jobIn(text);
  const holder: Holder = {
    text: text && withoutMark(text),
    fencingToken: token,
    since: token === undefined ? undefined : proposedAt(token),
    ...(job === undefined ? {} : { job }),
    ...(kept ? { kept } : {}),
  };
  if (text !== undefined) stored.set(holder, text);
  return holder;
}

/** Reads what a job has stored about itself as the holder of a key; `undefined` when no job has. */
export function readHoldingJob(text: string | undefined): HoldingJob | undefined {
  const [, job, attempt, host, pid] = FORM.exec(text ?? "") ?? [];
  if (job === undefined || host === undefined) return undefined;
  return { job, attempt: Number(attempt), host, pid: Number(pid) };
}

/** Prefixes and ids may have colons, names of queues have none: the mark says where the id begins, and so where all three do. */
function jobIn(text: string | undefined): HolderJob | undefined {
  const [, measure = ""] = MEASURE.exec(text ?? "") ?? [];
  const holding = measure === "" ? undefined : readHoldingJob(text);
  const end = parseInt(measure, 36);
  if (holding?.job[end] !== ":") return undefined;
  const queue = holding.job.slice(holding.job.lastIndexOf(":", end - 1) + 1, end);
  return { queue, id: holding.job.slice(end + 1), attempt: holding.attempt };
}

/** The text of a holder as people are shown it. */
export function withoutMark(text: string): string {
  return text.replace(MARK, "");
}

/** The text of a holder as it is stored, with what tells jobs apart. */
export function storedTextOf(holder: Holder | undefined): string | undefined {
  return holder && (stored.get(holder) ?? holder.text);
}
