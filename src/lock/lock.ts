/**
 * A held lock. All of it is synchronous but {@link extend} and {@link release}, and reads the clock itself: it
 * is right even when the event loop was blocked.
 */
export interface Lock extends AsyncDisposable {
  /** The locked keys, sorted, without duplicates; empty for a job that runs without a lock. */
  readonly keys: readonly string[];
  /**
   * Grows with every new holder of a key. Give it to the resource, and let the resource refuse a smaller one.
   * A safe integer; 0 for a job that runs without a lock.
   */
  readonly fencingToken: number;
  /** Aborts with a `LockLostError` before the lock can have ended. Never aborts because of {@link release}. */
  readonly signal: AbortSignal;
  /** True while nobody else can hold the keys, with the abort margin still to come. */
  readonly held: boolean;
  /** Milliseconds for which {@link held} stays true if nothing is extended any more; 0 when not held. */
  remaining(): number;
  /**
   * Call it directly before an effect that cannot be undone.
   * @throws {LockLostError} when the lock is not held.
   */
  assertHeld(): void;
  /**
   * Extends the lock now, in addition to the heartbeat.
   * @param ttl milliseconds from now; the lock's own ttl by default. Never shortens the lock.
   * @throws {LockLostError} when the lock is lost; {@link LockUnavailableError} when no quorum confirmed in time,
   * the lock then lives on until the deadline it had.
   */
  extend(ttl?: number): Promise<void>;
  /**
   * Gives the lock back. Idempotent; waits at most `nodeTimeout`; never throws.
   * @returns `"released"` when a quorum confirmed it, `"expired"` when the lock was gone already or too few masters
   * answered: the keys then end by their ttl.
   */
  release(): Promise<"released" | "expired">;
}
