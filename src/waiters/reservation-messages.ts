import type { Timer } from "../clock.ts";
import { RecentMap } from "../recent-map.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { StoredWaiter } from "../lock/wait-list-hooks.ts";

/** Milliseconds after which a subscription is in force. */
export const SUBSCRIBING = 100;

/** What {@link ReservationMessages} report. */
interface ReservationListener {
  /** A quorum of masters has reserved the key for the same waiter under the same token. */
  reserved(key: string, waiter: StoredWaiter): void;
  /** A reservation of the key may have been missed, because the subscription was not in force. */
  missed(key: string): void;
}

/**
 * The messages of masters to this process: which of its waiters a key is reserved for. Best effort: a key whose message is
 * lost is checked when it is due.
 */
export class ReservationMessages {
  readonly #context: LockContext;
  readonly #listener: ReservationListener;
  /** The masters that have sent each message. */
  readonly #nodesOf = new RecentMap<string, Set<number>>();
  /** The keys that this process waited for before the subscription was in force. */
  #early: Set<string> | undefined = new Set();
  #isSubscribed = false;
  #subscribing: Timer | undefined;

  constructor(context: LockContext, listener: ReservationListener) {
    this.#context = context;
    this.#listener = listener;
  }

  /** Subscribes, the first time. */
  subscribe(keys: readonly string[]): void {
    for (const key of keys) this.#early?.add(key);
    if (this.#isSubscribed) return;
    this.#isSubscribed = true;
    const { masters, names, process, clock } = this.#context;
    this.#subscribing = clock.timer(SUBSCRIBING, () => {
      const early = this.#early ?? [];
      this.#early = undefined;
      // @protection keys are checked when the subscription is in force
      for (const key of early) this.#listener.missed(key);
    });
    for (const [node, port] of masters.ports.entries()) {
      port.subscribe(names.wake(process), (message) => this.#receive(node, message));
    }
  }

  /** Whether messages arrive. */
  get isSubscribed(): boolean {
    return this.#early === undefined;
  }

  close(): void {
    this.#isSubscribed = true;
    this.#context.clock.clearTimer(this.#subscribing);
  }

  #receive(node: number, message: string): void {
    const reservation = parseMessage(message);
    if (reservation === undefined) return;
    const nodes = this.#nodesOf.get(message) ?? new Set();
    if (nodes.size === 0) this.#nodesOf.set(message, nodes);
    nodes.add(node);
    if (nodes.size !== this.#context.masters.quorum) return;
    this.#listener.reserved(reservation.key, reservation.waiter);
  }
}

function parseMessage(message: string): { key: string; waiter: StoredWaiter } | undefined {
  try {
    const [key, , position, record] = JSON.parse(message) as unknown[];
    return {
      key: String(key),
      waiter: { position: String(position), record: String(record), priority: 0 },
    };
  } catch {
    return undefined;
  }
}
