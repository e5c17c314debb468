/**
 * A held lock. Everything except {@link extend} and {@link release} is synchronous and reads the clock, so it is right even
 * when the event loop was blocked.
 */
export interface Lock extends AsyncDisposable {
  /** The locked keys, sorted, without duplicates; empty for a job that runs without a lock. */
  readonly keys: readonly string[];
  /**
   * Which of the holders that the limit of the first key allows this is: from 0 up to the limit, and 0 without a limit. No two hold
   * the same slot at the same time.
   */
  readonly slot: number;
  /** The slot of each of {@link keys}. */
  readonly slots: readonly number[];
  /**
   * Grows with every new holder of a key, or of a slot of a key with a limit: tokens of different slots have no order. Pass it to the protected resource, which refuses a smaller one.
   * A safe integer; 0 for a job that runs without a lock.
   */
  readonly fencingToken: number;
  /** Aborts with a `LockLostError` before the lock can have ended. Never aborts because of {@link release}. */
  readonly signal: AbortSignal;
  /** True while no other client can hold the keys, with the abort margin still to come. */
  readonly held: boolean;
  /** Milliseconds for which {@link held} stays true if nothing is extended any more; 0 when not held. */
  remaining(): number;
  /**
   * Checks the lock; call it directly before an effect that cannot be undone.
   * @throws {LockLostError} when the lock is not held.
   */
  assertHeld(): void;
  /**
   * Extends the lock now, in addition to the heartbeat.
   * @param ttl milliseconds from now; the lock's own ttl by default. Never shortens the lock.
   * @throws {LockLostError} when the lock is lost; {@link LockUnavailableError} when no quorum confirmed in time:
   * the lock then keeps its deadline.
   */
  extend(ttl?: number): Promise<void>;
  /**
   * Releases the lock. Idempotent; waits at most `nodeTimeout`; never throws.
   * @returns `"released"` when a quorum confirmed it, `"expired"` when the lock had ended already or too few masters
   * answered: the keys then expire by their ttl.
   */
  release(): Promise<"released" | "expired">;
}
