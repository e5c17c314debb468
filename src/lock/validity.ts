/**
 * How long a lock may be trusted: pure arithmetic, in milliseconds of the client's own monotonic clock.
 *
 * A master that confirms a command keeps the key for at least its ttl from the moment it executed the command,
 * hence from the moment the command was *sent*. Counting from there covers every delay on the way.
 */

/** Added to the drift: 1 ms for the resolution of Redis' expiry, 1 ms for rounding. */
const DRIFT_FLOOR = 2;

/**
 * By how much a master's clock may run ahead of ours during `ttl`.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ (clock drift)
 */
export function drift(ttl: number, driftFactor: number): number {
  return Math.ceil(ttl * driftFactor) + DRIFT_FLOOR;
}

/** Until when a master that confirmed a command sent at `sentAt` keeps the key for sure. */
export function leaseEnd(sentAt: number, ttl: number, driftFactor: number): number {
  return sentAt + ttl - drift(ttl, driftFactor);
}

/** Until when a quorum keeps the key: the quorum-th largest lease end; -Infinity below a quorum. */
export function validUntil(leaseEnds: readonly number[], quorum: number): number {
  let latest = -Infinity;
  for (const end of leaseEnds) {
    let reaching = 0;
    for (const other of leaseEnds) if (other >= end) reaching += 1;
    if (reaching >= quorum && end > latest) latest = end;
  }
  return latest;
}

/** Smallest and largest abort margin, in ms; below 2.5 s of ttl a quarter of it. @see {@link abortMargin} */
const SMALLEST_MARGIN = 250;
const LARGEST_MARGIN = 5_000;

/**
 * How long before its end a lock is given up, so that work under way can stop. It plays the part of Chubby's
 * lock-delay, seen from the client.
 * @see https://research.google.com/archive/chubby-osdi06.pdf section 2.4
 */
export function abortMargin(ttl: number): number {
  return Math.min(Math.min(Math.max(ttl / 10, SMALLEST_MARGIN), LARGEST_MARGIN), ttl / 4);
}

/** A grant with less than this left before its abort margin is given back: it would be nearly dead on arrival. */
export function smallestGrant(ttl: number): number {
  return ttl / 4;
}

/**
 * Milliseconds that may pass between sending the requests and the grant. A configuration is sound when a vote that
 * comes in the last moment of the node timeout still makes a lock.
 */
export function grantPatience(ttl: number, driftFactor: number): number {
  return ttl - drift(ttl, driftFactor) - abortMargin(ttl) - smallestGrant(ttl);
}
