import { TimerHeap, type Task } from "../timer-heap.ts";
import type { Holder } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import { slotName, slotNamesOf } from "../lock/slots.ts";
import type { LockContext } from "../lock/lock-context.ts";
import {
  cancelOperation,
  type CancelRequest,
  parseRequest,
  requestOperation,
} from "./cancel-operation.ts";
import { SUBSCRIBING } from "./reservation-messages.ts";

/** A holder that stops when a later job asks. */
interface CancellableLock {
  readonly lock: Pick<Lock, "keys" | "slots" | "fencingToken">;
  readonly position: string;
  /** Milliseconds between two checks for a request whose message was lost. */
  readonly interval: number;
  /** Called once. */
  asked(by: string): void;
}

/** Requests to holders to stop, sent and received. Best effort: a holder that receives nothing goes on. */
export class CancelRequests {
  readonly #context: LockContext;
  readonly #timers: TimerHeap;
  readonly #watches = new Set<Watch>();
  #isSubscribed = false;
  #inForceAt = -Infinity;

  constructor(context: LockContext) {
    this.#context = context;
    this.#timers = new TimerHeap(context.clock);
  }

  /** Asks a holder of a key to stop for `position`. A holder of another program is not asked. */
  ask(
    {
      key,
      holder,
    }: { readonly key: string; readonly holder: Pick<Holder, "fencingToken" | "slot"> | undefined },
    position: string,
    by: string,
  ): void {
    if (holder?.fencingToken === undefined) return;
    const { masters, names } = this.#context;
    const name = slotName(key, holder.slot ?? 0);
    const request = { names, key: name, token: holder.fencingToken, position, by };
    masters.broadcast(cancelOperation, request);
  }

  /** Receives requests to a holder until the returned function is called. */
  watch(holder: CancellableLock): () => void {
    this.#subscribe();
    const watch = new Watch(holder, this.#context, this.#inForceAt, (by) => {
      stop();
      holder.asked(by);
    });
    const stop = (): void => {
      this.#watches.delete(watch);
      this.#timers.remove(watch);
    };
    this.#watches.add(watch);
    this.#timers.add(watch);
    return stop;
  }

  close(): void {
    for (const watch of this.#watches) this.#timers.remove(watch);
    this.#watches.clear();
  }

  /** One channel for all keys: a holder does not subscribe for each of its jobs. */
  #subscribe(): void {
    if (this.#isSubscribed) return;
    this.#isSubscribed = true;
    const { masters, names, clock } = this.#context;
    this.#inForceAt = clock.now() + SUBSCRIBING;
    for (const port of masters.ports) {
      port.subscribe(names.cancelled, (message) => {
        const request = parseRequest(message);
        if (request !== undefined) for (const watch of this.#watches) watch.receive(request);
      });
    }
  }
}

class Watch implements Task {
  due: number;
  readonly #holder: CancellableLock;
  readonly #slots: readonly string[];
  readonly #context: LockContext;
  readonly #stop: (by: string) => void;

  constructor(
    holder: CancellableLock,
    context: LockContext,
    inForceAt: number,
    stop: (by: string) => void,
  ) {
    this.#holder = holder;
    this.#slots = slotNamesOf(holder.lock);
    this.#context = context;
    this.#stop = stop;
    const now = context.clock.now();
    this.due = Math.min(now + holder.interval, inForceAt > now ? inForceAt : Infinity);
  }

  receive({ key, token, position, by }: CancelRequest): void {
    const { lock, position: own } = this.#holder;
    if (token === lock.fencingToken && this.#slots.includes(key) && position > own) this.#stop(by);
  }

  /** {@link Task} */
  run(now: number): void {
    this.due = now + this.#holder.interval;
    const { masters, names } = this.#context;
    for (const key of this.#slots) {
      const answer = (_: number, request: CancelRequest | undefined): void => {
        if (request !== undefined) this.receive(request);
      };
      masters.broadcast(requestOperation, { names, key }, { answer, failure: () => {} });
    }
  }
}
