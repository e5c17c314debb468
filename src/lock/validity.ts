/**
 * How long a lock is valid: pure arithmetic, in milliseconds of the client's own monotonic clock.
 *
 * Invariant: a master that confirms a request keeps the key for its ttl from the moment of execution, which is after the
 * request was *sent*. Counting from the sending covers every delay on the way, and the drift covers a faster clock of the
 * master: `validity = ttl - elapsed - drift`.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("The Redlock Algorithm", steps 3 and 4)
 */

/**
 * Added to the drift, in ms: one for the precision of Redis' expiry, one as the smallest drift of a short ttl.
 * @see https://github.com/antirez/redlock-rb (the reference implementation adds the same)
 */
const DRIFT_FLOOR = 2;

/**
 * By how much a master's clock may run ahead of ours during `ttl`.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("Is the Algorithm Asynchronous?")
 */
export function drift(ttl: number, driftFactor: number): number {
  return Math.ceil(ttl * driftFactor) + DRIFT_FLOOR;
}

/** Until when a master certainly keeps the key, if it confirmed a request that was sent at `sentAt`. */
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

/** Smallest and largest abort margin, in ms; below 1 s of ttl it is a quarter of the ttl. @see {@link abortMargin} */
const SMALLEST_MARGIN = 250;
const LARGEST_MARGIN = 5_000;

/**
 * How long before its end a lock is given up, so that work under way can stop. The counterpart of Chubby's lock-delay on the
 * side of the client.
 * @see https://research.google.com/archive/chubby-osdi06.pdf section 2.4
 */
export function abortMargin(ttl: number): number {
  // @protection a lock ends for its user before it ends on the masters
  return Math.min(Math.min(Math.max(ttl / 10, SMALLEST_MARGIN), LARGEST_MARGIN), ttl / 4);
}

/** A grant with less than this left before its abort margin is rolled back: it would end too soon to be of use. */
export function smallestGrant(ttl: number): number {
  return ttl / 4;
}

/**
 * Milliseconds that may pass between sending the requests and the grant. A ttl is sound when a vote that comes in the last
 * moment of the node timeout still makes a lock.
 */
export function grantPatience(ttl: number, driftFactor: number): number {
  return ttl - drift(ttl, driftFactor) - abortMargin(ttl) - smallestGrant(ttl);
}
