import type { LockContext } from "../lock/lock-context.ts";
import { numberOfSlot } from "../lock/slots.ts";
import { NodeError } from "../redis/node-error.ts";
import type { ReservationReply, StoredWaiter } from "../lock/wait-list-hooks.ts";
import { decideReservation, type ReservationDecision } from "./decide-reservation.ts";
import { serveOperation, type Serving } from "./serve-operation.ts";
import { isRetry } from "./waiter.ts";

/** What masters answer about the reservation of a key to one question, or to a release, and what this process does about it. */
export class ReservationTally {
  readonly token: number;
  /** What joined later is not in the answers. */
  readonly askedAt: number;
  readonly replies: (ReservationReply | undefined)[];
  /** The waiter that has the reservation, by the first answers. */
  chosen: StoredWaiter | undefined;
  /** Whether the question removes waiters that are gone: the next one may be gone too. */
  readonly passesOver: boolean;
  /** Whether the chosen waiter was found to be gone: the key is not reserved for it any longer. */
  gone = false;
  /** Whether the masters that have not answered will not. */
  isOver = false;
  /** Resolves when the request that wakes the chosen waiter is sent. */
  waking: Promise<void> = Promise.resolve();
  readonly #retries = new Set<string>();
  readonly #quorum: number;
  readonly #slot: number;

  constructor(
    { masters, tokens, clock }: LockContext,
    key: string,
    { token = tokens.next(), askedAt = clock.now(), passesOver = false } = {},
  ) {
    this.token = token;
    this.askedAt = askedAt;
    this.passesOver = passesOver;
    this.replies = masters.ports.map(() => undefined);
    this.#quorum = masters.quorum;
    this.#slot = numberOfSlot(key);
  }

  /** What the answers so far decide. */
  get decision(): ReservationDecision {
    return decideReservation(this.replies, this.#quorum, this.#slot, this.isComplete);
  }

  /** The jobs for which masters keep the key until they run again, each once. */
  takeRetries(): StoredWaiter[] {
    const retries: StoredWaiter[] = [];
    for (const reply of this.replies) {
      if (reply?.status !== "reserved" || !isRetry(reply)) continue;
      const { position, record } = reply;
      if (this.#retries.has(position)) continue;
      this.#retries.add(position);
      retries.push({ position, record, priority: 0 });
    }
    return retries;
  }

  /** Whether all masters have answered that will. */
  get isComplete(): boolean {
    return this.isOver || this.replies.every((reply) => reply !== undefined);
  }
}

/**
 * Asks all masters.
 * @param answered runs after each answer, and when no further one is expected.
 * @returns resolves as soon as the answers decide, or when no further one is expected.
 */
export function askMasters(
  { masters, names, process }: LockContext,
  key: string,
  tally: ReservationTally,
  question: Omit<Serving, "names" | "key" | "token" | "process">,
  answered: () => void,
): Promise<void> {
  return new Promise((resolve) => {
    const note = (node: number, reply: ReservationReply): void => {
      tally.replies[node] = reply;
      answered();
      const { kind } = tally.decision;
      if (kind !== "unknown" && kind !== "held" && kind !== "contested") resolve();
    };
    const request = { names, key, token: tally.token, process, ...question };
    const received = (node: number, reply: ReservationReply | NodeError, open: number): void => {
      if (!(reply instanceof NodeError)) note(node, reply);
      if (open > 0) return;
      tally.isOver = true;
      answered();
      resolve();
    };
    masters.gather(serveOperation, request, received, note);
  });
}
