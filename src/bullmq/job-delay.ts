import type { LockConflictError } from "../errors.ts";

/** First and longest delay of a job that no process wakes, in ms; it doubles in between. */
const FIRST = 50;
const LONGEST = 5_000;

/** How many ms after the end of its holder's lock a key is tried again at the earliest. */
const SHORTEST = 20;

/**
 * How long to delay a job that no process wakes: longer each time, within `retryAfter` if that is known, and with a jitter of
 * half, so that jobs that came together do not return together. Whole milliseconds.
 * @param fraction a random number from 0 up to 1.
 */
export function backoff(
  timesDelayed: number,
  retryAfter: number | undefined,
  fraction: number,
): number {
  const grown = Math.min(FIRST * 2 ** Math.min(timesDelayed, 30), LONGEST);
  const jittered = grown * (0.5 + fraction / 2);
  // A holder that has died cannot extend: a retry much later than the end of its lock gains nothing.
  return Math.round(
    Math.min(jittered, Math.max(retryAfter ?? Infinity, 0) + SHORTEST * (1 + fraction)),
  );
}

/**
 * The alarm of a parked job rings a share of the ttl after its key should be free: an extended lock has a third less left than
 * its ttl, so that the first waiter comes back after one to one and a half ttls of any holder.
 */
const ALARM_DELAY = 0.1;
const ALARM_JITTER = 0.2;
/** How many ttls, and milliseconds, the position in the wait list adds at most. */
const MOST_TTLS = 9;
const LONGEST_ALARM = 300_000;

/**
 * When a parked job comes back by itself, in whole milliseconds: when its holder's lock should have ended, and a ttl later for
 * each waiter before it. This needs no live process. A holder that lives for long costs about ln(waiters) activations a ttl
 * for up to ten waiters, and a ninth of an activation for each further waiter.
 * @param expiresIn milliseconds until the holder's lock ends if it is not extended.
 * @param ahead the number of waiters before the job.
 */
export function alarm(
  { expiresIn, ahead, ttl }: { expiresIn: number; ahead: number; ttl: number },
  fraction: number,
): number {
  // Jobs that came together do not come back together.
  const spread = 1 - ALARM_JITTER * (1 - fraction);
  const share = Math.min(ahead, MOST_TTLS) * spread + ALARM_DELAY + ALARM_JITTER * fraction;
  return Math.round(Math.min(Math.max(expiresIn, 0) + share * ttl, LONGEST_ALARM * spread));
}

/**
 * The {@link alarm} of a job after its conflict.
 * @param limit how many holders its key may have.
 */
export function alarmAfter(
  { reserved, retryAfter, ahead }: LockConflictError,
  limit: number,
  ttl: number,
  fraction: number,
): number {
  // A key that is kept for a retry is free long before its reservation expires.
  const expiresIn = reserved === true ? Math.min(retryAfter, ttl) : retryAfter;
  return alarm({ expiresIn, ahead: ahead / limit, ttl }, fraction);
}
