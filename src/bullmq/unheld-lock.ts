import { Cancellation } from "../cancellation.ts";
import { LockLostError } from "../errors.ts";
import type { Lock } from "./lock.ts";

/** What a job gets that runs without a lock: it is never held, and nothing can be lost. */
export class UnheldLock implements Lock {
  readonly keys: readonly string[] = [];
  readonly fencingToken = 0;
  readonly held = false;
  /** Nothing is lost. */
  readonly lost = new Cancellation();
  readonly signal: AbortSignal = new AbortController().signal;

  remaining(): number {
    return 0;
  }

  assertHeld(): void {
    throw notHeld();
  }

  /** There was nothing to lose. */
  assertNotLost(): void {}

  extend(): Promise<void> {
    return Promise.reject(notHeld());
  }

  release(): Promise<"expired"> {
    return Promise.resolve("expired");
  }

  releaseAfter(): Promise<"expired"> {
    return this.release();
  }

  readonly age = 0;
  /** Nobody waited for it. */
  readonly handedOver = undefined;

  /** There is nothing to lose. */
  lose(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}

function notHeld(): LockLostError {
  return new LockLostError({ keys: [], reason: "unlocked", fencingToken: 0, heldFor: 0 });
}
