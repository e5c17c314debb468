import type { Job } from "bullmq";
import { createHash } from "node:crypto";
import type { Holder } from "../errors.ts";
import { hostName } from "../host-name.ts";
import { printable } from "../printable.ts";
import { storedTextOf } from "../redlock/holder.ts";
import { nameOf, queueNameOf } from "../job-names.ts";

/** How many characters of the name are shown: the whole text stays below the 256 that are stored. */
const LONGEST_NAME = 120;
const LONGEST_HOST = 64;
/** The part of a mark that says where the queue ends in the name. */
const MEASURE_LENGTH = 2;
const NO_MEASURE = "__";
/** The part of a mark that distinguishes jobs: the creation time, until the year 5000, or 54 bits of a hash. */
const IDENTITY_LENGTH = 9;
const REST = /^\d+ \([^()]+ pid \d+\) #[\w-]+$/;
const PLAIN_TIME = /^[\da-z]{1,9}$/;

/**
 * Describes a job as the holder of a key: `bull:invoices:17 attempt 2 (host pid 123) #mark`.
 *
 * People do not see the mark. It is the same for all attempts of a job, and differs from that of every other job of the same
 * name. It is `<length of prefix and queue>-<creation time>` in base 36, so that the name can be taken apart; for a name that is
 * not shown as it is, `__-<hash>`.
 */
export function describeAsHolder(job: Job): string {
  const { shown, mark } = identify(job);
  const host = hostName().slice(0, LONGEST_HOST);
  return `${shown} attempt ${(job.attemptsMade ?? 0) + 1} (${host} pid ${process.pid}) #${mark}`;
}

/** Whether another run of the same job holds a key. */
export function isSameJob(job: Job, holder: Holder | undefined): boolean {
  const text = storedTextOf(holder);
  if (text === undefined) return false;
  const { shown, mark } = identify(job);
  const start = `${shown} attempt `;
  // An id may look like the text after a name.
  return text.startsWith(start) && REST.test(text.slice(start.length)) && text.endsWith(`#${mark}`);
}

/** The creation time distinguishes jobs of two Redis servers, and a job from a removed job with the same id. */
function identify(job: Job): { shown: string; mark: string } {
  const name = nameOf(job);
  const shown = shorten(printable(name), LONGEST_NAME);
  const isWhole = shown === name;
  const measure = isWhole
    ? queueNameOf(job).length.toString(36).padStart(MEASURE_LENGTH, "0")
    : NO_MEASURE;
  const time = (job.timestamp ?? 0).toString(36);
  // The usual case, and much cheaper than a hash. An application may give any number as a timestamp.
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
