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
