import type { Job } from "bullmq";

/** First and longest time a job is put aside that nobody will call, in ms; it doubles in between. */
const FIRST = 50;
const LONGEST = 5_000;

/** A key cannot be free before its holder had this many ms. */
const SHORTEST = 20;

/**
 * How long to put a job aside that nobody will call: longer each time, within `retryAfter` if that is known, and with a
 * jitter of half, so that jobs that came together do not return together. Whole milliseconds.
 * @param fraction chance, from 0 up to 1.
 */
export function backoff(
  timesDelayed: number,
  retryAfter: number | undefined,
  fraction: number,
): number {
  const grown = Math.min(FIRST * 2 ** Math.min(timesDelayed, 30), LONGEST);
  const jittered = grown * (0.5 + fraction / 2);
  // A holder that is gone cannot extend: nothing is gained by looking much later than its key expires.
  return Math.round(
    Math.min(jittered, Math.max(retryAfter ?? Infinity, 0) + SHORTEST * (1 + fraction)),
  );
}

/**
 * The alarm of a parked job rings a share of the ttl after its key should be free: an extended lock has a third less left than
 * its ttl, so that the first in line comes back after one to one and a half ttls of any holder.
 */
const ALARM_DELAY = 0.1;
const ALARM_JITTER = 0.2;
/** Most ttls, and milliseconds, that the place in line adds. */
const MOST_TTLS = 9;
const LONGEST_ALARM = 300_000;

/**
 * When a parked job comes back that was not called, in whole milliseconds: when its holder's lock should have ended, and a
 * ttl later for each one that waits before it. No process needs to be alive for it, and a holder that lives for long costs
 * about ln(waiters) activations a ttl for up to ten waiters, and a ninth of one for each further waiter.
 * @param expiresIn milliseconds until the holder's lock ends if it is not extended.
 * @param ahead how many wait before the job.
 */
export function alarm(
  { expiresIn, ahead, ttl }: { expiresIn: number; ahead: number; ttl: number },
  fraction: number,
): number {
  // Those that came together do not come back together.
  const spread = 1 - ALARM_JITTER * (1 - fraction);
  const share = Math.min(ahead, MOST_TTLS) * spread + ALARM_DELAY + ALARM_JITTER * fraction;
  return Math.round(Math.min(Math.max(expiresIn, 0) + share * ttl, LONGEST_ALARM * spread));
}

/** How often a job was put aside, by whomever: the activations that were neither attempts nor stalls. */
export function timesDelayed(job: Partial<Job>): number {
  // A job that a program has made by hand counts nothing.
  const { attemptsStarted = 0, attemptsMade = 0, stalledCounter = 0 } = job;
  return Math.max(0, attemptsStarted - attemptsMade - stalledCounter - 1);
}
