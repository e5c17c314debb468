import type { LockContext } from "../lock/lock-context.ts";
import { NodeError } from "../redis/node-error.ts";
import { serveOperation, type Serving } from "./serve-operation.ts";
import { type ReservationReply, type StoredWaiter } from "../lock/wait-list-hooks.ts";
import { decideReservation, type ReservationDecision } from "./decide-reservation.ts";

/** What is asked, but for what is the same in all questions of a process. */
export type Question = Pick<Serving, "gone" | "give" | "record" | "wakes" | "life">;

/** What masters say about the turn of a key after one question, and what was made of it. */
export class ReservationTally {
  readonly token: number;
  /** What joined later is not in the answers. */
  readonly askedAt: number;
  readonly replies: (ReservationReply | undefined)[];
  /** Whose turn it is, by those who answered first. */
  chosen: StoredWaiter | undefined;
  /** Whether the chosen one was found to be gone: nobody keeps the key for it any more. */
  gone = false;
  /** Resolves when the call of the chosen one is on its way. */
  calling: Promise<void> = Promise.resolve();
  readonly #quorum: number;

  constructor(
    { masters, tokens, clock }: LockContext,
    { token = tokens.next(), askedAt = clock.now() } = {},
  ) {
    this.token = token;
    this.askedAt = askedAt;
    this.replies = masters.ports.map(() => undefined);
    this.#quorum = masters.quorum;
  }

  /** What the masters together have said so far. */
  get decision(): ReservationDecision {
    return decideReservation(this.replies, this.#quorum);
  }

  /** Whether all masters have answered. */
  get isComplete(): boolean {
    return this.replies.every((reply) => reply !== undefined);
  }
}

/**
 * Asks all masters.
 * @param heard runs after each answer, with `true` when no further one is waited for.
 * @returns resolves as soon as the answers decide, or when no further one is waited for.
 */
export function askMasters(
  { masters, names, process }: LockContext,
  key: string,
  tally: ReservationTally,
  question: Question & Pick<Serving, "live" | "skipped">,
  heard: (complete: boolean) => void,
): Promise<void> {
  return new Promise((resolve) => {
    const hear = (node: number, reply: ReservationReply): void => {
      tally.replies[node] = reply;
      heard(tally.isComplete);
      const { kind } = tally.decision;
      if (kind !== "unknown" && kind !== "held") resolve();
    };
    const request = { names, key, token: tally.token, process, ...question };
    const received = (node: number, reply: ReservationReply | NodeError, open: number): void => {
      if (!(reply instanceof NodeError)) hear(node, reply);
      if (open > 0) return;
      heard(true);
      resolve();
    };
    masters.gather(serveOperation, request, received, hear);
  });
}
