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

/**
 * What operators read about a job that holds a key: `bull:invoices:17 attempt 2 (host pid 123) #mark`.
 *
 * The mark, which people are not shown, is the same for all attempts of one job, and together with the name for no other job: it
 * holds the creation time, or a hash where the name is not shown as it is.
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
  return text.startsWith(`${shown} attempt `) && text.endsWith(`) #${mark}`);
}

/** The creation time tells apart jobs of two Redis servers, and a job from one that was removed and had its id. */
function identify(job: Job): { shown: string; mark: string } {
  const name = nameOf(job);
  const shown = shorten(printable(name), LONGEST_NAME);
  // Nearly always, and much cheaper than a hash: the lengths say where the id begins and ends.
  if (shown === name) {
    const lengths = queueNameOf(job).length * (LONGEST_NAME + 1) + name.length;
    const mark = `${base36(lengths, 3)}${base36(job.timestamp ?? 0, MARK_LENGTH - 3)}`;
    return { shown, mark };
  }
  const identity = JSON.stringify([queueNameOf(job), job.id, job.timestamp]);
  const mark = createHash("sha256").update(identity).digest("base64url").slice(0, MARK_LENGTH);
  return { shown, mark };
}

function shorten(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, longest - 3)}...`;
}

function base36(number: number, digits: number): string {
  return number.toString(36).padStart(digits, "0");
}
