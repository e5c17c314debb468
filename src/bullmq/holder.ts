import type { Job } from "bullmq";
import { createHash } from "node:crypto";
import type { Holder } from "../errors.ts";
import { hostName } from "../host-name.ts";
import { printable } from "../printable.ts";
import { storedTextOf } from "../redlock/holder.ts";
import { nameOf, queueNameOf } from "./job-worker.ts";

/** Characters of the name that are shown: with all the rest the text stays below the 256 that are stored. */
const LONGEST_NAME = 120;
const LONGEST_HOST = 64;
/** 72 bits: among a billion jobs no two meet by chance. */
const MARK_LENGTH = 12;

const marks = new WeakMap<Job, string>();

/**
 * What operators read about a job that holds a key: `bull:invoices:17 attempt 2 (host pid 123) #mark`.
 *
 * The mark, which people are not shown, is the same for all attempts of one job, and for no other job: names can be cut, and can be put together
 * from odd ids in more than one way.
 */
export function describeAsHolder(job: Job): string {
  const name = shorten(printable(nameOf(job)), LONGEST_NAME);
  const host = hostName().slice(0, LONGEST_HOST);
  return `${name} attempt ${(job.attemptsMade ?? 0) + 1} (${host} pid ${process.pid}) #${markOf(job)}`;
}

/** Whether a key is held by an earlier, or another, run of this very job. */
export function isSameJob(job: Job, holder: Holder | undefined): boolean {
  return storedTextOf(holder)?.endsWith(`) #${markOf(job)}`) ?? false;
}

function markOf(job: Job): string {
  const known = marks.get(job);
  if (known !== undefined) return known;
  // The creation time tells apart jobs of two Redis servers, and a job from one that was removed and had its id.
  const identity = JSON.stringify([queueNameOf(job), job.id, job.timestamp]);
  const mark = createHash("sha256").update(identity).digest("base64url").slice(0, MARK_LENGTH);
  marks.set(job, mark);
  return mark;
}

function shorten(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 3)}...`;
}
