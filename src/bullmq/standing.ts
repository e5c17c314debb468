import type { Job } from "bullmq";
import { placeOf, type Standing } from "../line/place.ts";

/**
 * The standing of a job in lines. Its place comes from when it was to run, so that it is the same at each activation, and
 * jobs stand in the order in which their queue would run them.
 */
export function standingOf(job: Job, home: string, replaceable: boolean): Standing {
  return {
    place: placeOf(job.timestamp + (job.opts.delay ?? 0), home, job.id ?? ""),
    priority: job.priority,
    home,
    run: job.attemptsStarted,
    replaceable,
  };
}

/**
 * The place up to which a job replaces earlier ones once it has succeeded: its own. A job that was promoted before its delay was
 * over does not replace those that were added since.
 * @param now in ms since 1970.
 */
export function placeWhenDone(job: Job, { place, home }: Standing, now: number): string {
  const isEarly = now < job.timestamp + (job.opts.delay ?? 0);
  return isEarly ? placeOf(job.timestamp, home, job.id ?? "") : place;
}
