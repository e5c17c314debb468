import { LockLostError } from "../errors.ts";
import { namesOf } from "../job-names.ts";
import { onAbort, type AbortSource } from "../on-abort.ts";
import { printable } from "../printable.ts";
import { withoutTag } from "../redlock/job-text.ts";
import type { InternalLock } from "../redlock/internal-lock.ts";
import type { Activation } from "./activation.ts";
import { unrecoverableError } from "./control-errors.ts";

/**
 * A signal that aborts with the first of several others.
 *
 * It is linked by hand, not by `AbortSignal.any`: sources that live as long as the worker would remember each signal derived
 * from them.
 */
export class LinkedSignal {
  readonly #controller = new AbortController();
  readonly #links: (() => void)[] = [];

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Aborts also when `source` does, with what `reason` makes of its reason. */
  follow(
    source: AbortSource | undefined,
    reason: (reason: unknown) => unknown = (given) => given,
  ): this {
    if (source === undefined || this.signal.aborted) return this;
    this.#links.push(onAbort(source, () => this.abort(reason(source.reason))));
    return this;
  }

  /** Aborts, and leaves the sources. */
  abort(reason: unknown): void {
    this.unlink();
    this.#controller.abort(reason);
  }

  /** Leaves the sources. To be called when the signal is no longer needed. */
  unlink(): void {
    for (const unlink of this.#links.splice(0)) unlink();
  }
}

/**
 * The signal of a processor: it aborts when the worker cancels the job, when either lock is lost, and when a later job asks a
 * holder under `cancelInProgress` to stop. A processor that takes no signal has none: it costs a tenth of a job that does nothing.
 */
export class JobSignal {
  readonly #linked: LinkedSignal | undefined;
  readonly #unlink: () => void;
  readonly #activation: Activation;
  readonly #lock: InternalLock;
  readonly #startedAt: number;
  readonly #unwatch: (() => void) | undefined;
  #jobLoss: LockLostError | undefined;
  #cancelledBy: string | undefined;

  /** @param isTaken whether the processor takes a signal. */
  constructor(activation: Activation, lock: InternalLock, isTaken: boolean) {
    const { settings, cancel, renewal, waiter } = activation;
    const { onConflict, engine, ttl } = settings;
    this.#activation = activation;
    this.#lock = lock;
    this.#startedAt = engine.clock.now();
    if (isTaken) {
      const linked = new LinkedSignal()
        .follow(cancel)
        .follow(lock.lost)
        .follow(renewal.lost, () => this.#loseJobLock());
      this.#linked = linked;
      this.#unlink = () => linked.unlink();
    } else this.#unlink = onAbort(renewal.lost, () => void this.loss);
    const stops = onConflict === "cancelInProgress" || typeof onConflict === "function";
    if (!stops || waiter === undefined || lock.keys.length === 0) return;
    this.#unwatch = engine.cancelRequests.watch({
      lock,
      position: waiter.position,
      interval: ttl / 3,
      asked: (by) => {
        this.#cancelledBy = by;
        this.#linked?.abort(cancelledError(by));
      },
    });
  }

  /** `undefined` for a processor that takes none. */
  get signal(): AbortSignal | undefined {
    return this.#linked?.signal;
  }

  /** The later job that asked this one to stop. */
  get cancelledBy(): string | undefined {
    return this.#cancelledBy;
  }

  /** The loss of one of the two locks. Once the lock is released, a loss looks the same as the release. */
  get loss(): LockLostError | undefined {
    try {
      this.#lock.assertNotLost();
    } catch (error) {
      return error as LockLostError;
    }
    return this.#activation.renewal.lost.aborted ? this.#loseJobLock() : undefined;
  }

  /** Leaves all sources. */
  end(): void {
    this.#unlink();
    this.#unwatch?.();
  }

  /** Makes, and reports once, the error of a job whose BullMQ lock is lost. */
  #loseJobLock(): LockLostError {
    const { settings, job } = this.#activation;
    const { keys, fencingToken, heldSlots } = this.#lock;
    if (this.#jobLoss === undefined) {
      const heldFor = settings.engine.clock.now() - this.#startedAt;
      const error = new LockLostError({ keys, reason: "job-lock-lost", fencingToken, heldFor });
      this.#jobLoss = error;
      settings.engine.events.emit("lost", {
        keys,
        fencingToken,
        error,
        ...namesOf(job),
        ...heldSlots,
      });
    }
    return this.#jobLoss;
  }
}

/** Makes the error that ends a job that a later job asked to stop. */
export function cancelledError(by: string, cause?: unknown): Error {
  const error = new Error(`cancelled by ${printable(withoutTag(by))}`, { cause });
  return unrecoverableError(Object.assign(error, { code: "ERR_REDLOCK_CANCELLED" as const }));
}
