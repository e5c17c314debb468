import { createHash } from "node:crypto";
import type { HolderJob } from "../errors.ts";
import { type AskingJob, nameOf, queueNameOf } from "../job-names.ts";
import { printable } from "../printable.ts";

/**
 * What a job stores as the holder of a key: `bull:invoices:17 attempt 2 (host pid 123) #tag`.
 *
 * People do not see the tag. It is the same for all attempts of a job, and differs from that of every other job of the same
 * name. It is `<length of prefix and queue>-<creation time>` in base 36, so that the name can be taken apart; for a name that is
 * not shown as it is, `__-<hash>`.
 */
const FORM = /^(.+) attempt (\d+) \((.+) pid (\d+)\) #([\w-]{12})$/su;
const TAG = /(?<=\)) #[\w-]{12}$/;
/** The part of a tag that says where the queue ends in the name. */
const MEASURE = /^[\da-z]{2}(?=-)/;
const MEASURE_LENGTH = 2;
const NO_MEASURE = "__";
/** The part of a tag that distinguishes jobs: the creation time, until the year 5000, or 54 bits of a hash. */
const IDENTITY_LENGTH = 9;
const PLAIN_TIME = /^[\da-z]{1,9}$/;

/** How many characters of the name are shown: the whole text stays below the 256 that are stored. */
const LONGEST_NAME = 120;
const LONGEST_HOST = 64;

/** The job that is written: a program that made it by hand may have left out the time of its creation. */
type WrittenJob = AskingJob & { readonly timestamp?: number };

/** A job that holds a key, for operators. */
export interface HoldingJob {
  /** Queue and id, such as `bull:invoices:17`; cut when it is long. */
  readonly job: string;
  /** From 1. */
  readonly attempt: number;
  readonly host: string;
  readonly pid: number;
}

/** Writes what a job stores. */
export function formatJobText(
  job: WrittenJob,
  { attempt, host, pid }: Omit<HoldingJob, "job">,
): string {
  const { shown, tag } = identify(job);
  return `${shown} attempt ${attempt} (${host.slice(0, LONGEST_HOST)} pid ${pid}) #${tag}`;
}

/** Reads what a job stored; `undefined` for other holders. */
export function readHoldingJob(text: string | undefined): HoldingJob | undefined {
  return parseJobText(text)?.holding;
}

/**
 * The queue and the id of the job that stored a text; `undefined` for other holders, and where the
 * name was not shown as it is.
 */
export function jobInText(text: string | undefined): HolderJob | undefined {
  const { holding, tag = "" } = parseJobText(text) ?? {};
  // Prefixes and ids may contain colons, names of queues do not: the length in the tag separates all three.
  const end = parseInt(MEASURE.exec(tag)?.[0] ?? "", 36);
  if (holding?.job[end] !== ":") return undefined;
  const queue = holding.job.slice(holding.job.lastIndexOf(":", end - 1) + 1, end);
  return { queue, id: holding.job.slice(end + 1), attempt: holding.attempt };
}

/** Whether a run of the job stored the text. */
export function isTextOf(job: WrittenJob, text: string | undefined): boolean {
  const stored = parseJobText(text);
  if (stored === undefined) return false;
  const { shown, tag } = identify(job);
  return stored.holding.job === shown && stored.tag === tag;
}

/** The text of a holder without its tag, for people. */
export function withoutTag(text: string): string {
  return text.replace(TAG, "");
}

/** An id may look like the text after a name: the last one in the text counts. */
function parseJobText(text = ""): { holding: HoldingJob; tag: string } | undefined {
  const [, job, attempt, host, pid, tag] = FORM.exec(text) ?? [];
  if (job === undefined || host === undefined || tag === undefined) return undefined;
  return { holding: { job, attempt: Number(attempt), host, pid: Number(pid) }, tag };
}

/** The creation time distinguishes jobs of two Redis servers, and a job from a removed job with the same id. */
function identify(job: WrittenJob): { shown: string; tag: string } {
  const name = nameOf(job);
  const shown = shorten(printable(name));
  const isWhole = shown === name;
  const measure = isWhole
    ? queueNameOf(job).length.toString(36).padStart(MEASURE_LENGTH, "0")
    : NO_MEASURE;
  const time = (job.timestamp ?? 0).toString(36);
  // The usual case, and much cheaper than a hash. An application may give any number as a timestamp.
  const identity =
    isWhole && PLAIN_TIME.test(time) ? time.padStart(IDENTITY_LENGTH, "0") : hashOf(job);
  return { shown, tag: `${measure}-${identity}` };
}

function hashOf(job: WrittenJob): string {
  const identity = JSON.stringify([queueNameOf(job), job.id, job.timestamp]);
  const hash = createHash("sha256").update(identity).digest("base64url");
  return hash.slice(MEASURE_LENGTH + 1, MEASURE_LENGTH + 1 + IDENTITY_LENGTH);
}

function shorten(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 3)}...`;
}
