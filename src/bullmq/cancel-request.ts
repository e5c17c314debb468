import { Cancellation } from "../cancellation.ts";
import { printable } from "../printable.ts";
import type { HeldLock } from "../redlock/held-lock.ts";
import { withoutMark } from "../redlock/holder.ts";
import type { Activation } from "./activation.ts";
import { unrecoverableError } from "./control-errors.ts";
import { UnheldLock } from "./unheld-lock.ts";

/** How a running job under `cancelInProgress` hears that a later one asks it to stop. */
export class CancelRequest {
  /** Ends when a later job asks. */
  readonly asked = new Cancellation();
  readonly #stop: () => void;
  /** Who asked. */
  cancelledBy: string | undefined;

  constructor({ settings, waiter }: Activation, lock: HeldLock | UnheldLock) {
    const { onConflict, engine, lock: options } = settings;
    const yields = onConflict === "cancelInProgress" || typeof onConflict === "function";
    if (!yields || waiter === undefined || lock instanceof UnheldLock) {
      this.#stop = () => {};
      return;
    }
    this.#stop = engine.cancelRequests.watch({
      keys: lock.keys,
      fencingToken: lock.fencingToken,
      position: waiter.position,
      interval: (options.ttl ?? engine.settings.ttl) / 3,
      asked: (by) => {
        this.cancelledBy = by;
        this.asked.abort(cancelledError(by));
      },
    });
  }

  /** Hears no more. */
  end(): void {
    this.#stop();
  }
}

/** Makes the error that ends a job that was asked to give way. */
export function cancelledError(by: string, cause?: unknown): Error {
  const error = new Error(`cancelled by ${printable(withoutMark(by))}`, { cause });
  return unrecoverableError(Object.assign(error, { code: "ERR_REDLOCK_CANCELLED" as const }));
}
