import type { Job } from "bullmq";
import { createHash } from "node:crypto";
import type { Holder } from "../errors.ts";
import { hostName } from "../host-name.ts";
import { printable } from "../printable.ts";
import { storedTextOf } from "../redlock/holder.ts";
import { nameOf, queueNameOf } from "../job-names.ts";

/** Characters of the name that are shown: with all the rest the text stays below the 256 that are stored. */
const LONGEST_NAME = 120;
const LONGEST_HOST = 64;
/** Of a mark: where the queue ends in the name. */
const MEASURE_LENGTH = 2;
const NO_MEASURE = "__";
/** Of a mark: the creation time, until the year 5000; or 54 bits of a hash, which only jobs of the same shortened name could share. */
const IDENTITY_LENGTH = 9;
const REST = /^\d+ \([^()]+ pid \d+\) #[\w-]+$/;
const PLAIN_TIME = /^[\da-z]{1,9}$/;

/**
 * What operators read about a job that holds a key: `bull:invoices:17 attempt 2 (host pid 123) #mark`.
 *
 * The mark, which people are not shown, is the same for all attempts of one job, and together with the name for no other job. It
 * is `<length of prefix and queue>-<creation time>` in base 36, so that the name can be taken apart; where the name is not shown as
 * it is, `__-<hash>`.
 */
export function describeAsHolder(job: Job): string {
  const { shown, mark } = identify(job);
  const host = hostName().slice(0, LONGEST_HOST);
  return `${shown} attempt ${(job.attemptsMade ?? 0) + 1} (${host} pid ${process.pid}) #${mark}`;
}

/** Whether a key is held by an earlier, or another, run of this very job. */
export function isSameJob(job: Job, holder: Holder | undefined): boolean {
  const text = storedTextOf(holder);
  if (text === undefined) return false;
  const { shown, mark } = identify(job);
  const start = `${shown} attempt `;
  // An id may look like what follows a name.
  return text.startsWith(start) && REST.test(text.slice(start.length)) && text.endsWith(`#${mark}`);
}

/** The creation time tells apart jobs of two Redis servers, and a job from one that was removed and had its id. */
function identify(job: Job): { shown: string; mark: string } {
  const name = nameOf(job);
  const shown = shorten(printable(name), LONGEST_NAME);
  const isWhole = shown === name;
  const measure = isWhole
    ? queueNameOf(job).length.toString(36).padStart(MEASURE_LENGTH, "0")
    : NO_MEASURE;
  const time = (job.timestamp ?? 0).toString(36);
  // Nearly always, and much cheaper than a hash. A timestamp may be any number that the application gives.
  const identity =
    isWhole && PLAIN_TIME.test(time) ? time.padStart(IDENTITY_LENGTH, "0") : hashOf(job);
  return { shown, mark: `${measure}-${identity}` };
}

function hashOf(job: Job): string {
  const identity = JSON.stringify([queueNameOf(job), job.id, job.timestamp]);
  const hash = createHash("sha256").update(identity).digest("base64url");
  return hash.slice(MEASURE_LENGTH + 1, MEASURE_LENGTH + 1 + IDENTITY_LENGTH);
}

function shorten(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 3)}...`;
}
