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
  timesPutAside: number,
  retryAfter: number | undefined,
  fraction: number,
): number {
  const grown = Math.min(FIRST * 2 ** Math.min(timesPutAside, 30), LONGEST);
  const jittered = grown * (0.5 + fraction / 2);
  // A holder that is gone cannot extend: nothing is gained by looking much later than its key expires.
  return Math.round(
    Math.min(jittered, Math.max(retryAfter ?? Infinity, 0) + SHORTEST * (1 + fraction)),
  );
}

/** After so many ttls, and ms at most, a parked job comes back by itself; with a jitter of so much each way. */
const BACKSTOP_TTLS = 10;
const LONGEST_BACKSTOP = 300_000;
const BACKSTOP_JITTER = 0.2;

/** When a parked job comes back that nobody has called, in whole milliseconds. */
export function backstop(ttl: number, fraction: number): number {
  const usual = Math.min(BACKSTOP_TTLS * ttl, LONGEST_BACKSTOP);
  return Math.round(usual * (1 + BACKSTOP_JITTER * (2 * fraction - 1)));
}

/** How often a job was put aside, by whomever: the activations that were neither attempts nor stalls. */
export function timesPutAside(job: Partial<Job>): number {
  // A job that a program has made by hand counts nothing.
  const { attemptsStarted = 0, attemptsMade = 0, stalledCounter = 0 } = job;
  return Math.max(0, attemptsStarted - attemptsMade - stalledCounter - 1);
}
