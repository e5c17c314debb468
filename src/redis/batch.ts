import type { Clock, Timer } from "../clock.ts";
import { describeConnectionError } from "./connection.ts";
import { type AnswerListener, NodeError } from "./node-port.ts";
import { type Call, FAILED, replyOf } from "./operation.ts";

/** A call, and who hears what becomes of it. */
export interface Pending {
  readonly call: Call<unknown, unknown>;
  readonly listener: AnswerListener<unknown>;
}

/** Calls that travel together as one script call, with one deadline. */
export class Batch {
  readonly pending: readonly Pending[];
  readonly sentAt: number;
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #deadline: Timer;
  #settled = false;

  /**
   * @param timeout milliseconds after which everybody is told that no answer came.
   * @param onDeadline runs after that.
   */
  constructor(pending: readonly Pending[], clock: Clock, timeout: number, onDeadline: () => void) {
    this.pending = pending;
    this.sentAt = clock.now();
    this.#clock = clock;
    this.#timeout = timeout;
    this.#deadline = clock.timer(timeout, () => {
      this.#timeOut();
      onDeadline();
    });
  }

  /** Whether everybody has been told something. */
  get settled(): boolean {
    return this.#settled;
  }

  /** Tells everybody what a master has said to each call: as an answer, or as one that came too late. */
  answer(replies: unknown, server: string): void {
    const { sentAt } = this;
    // The timer may be behind when the event loop was blocked.
    const late = this.#settled || this.#clock.now() - sentAt > this.#timeout;
    if (late) this.#timeOut();
    else this.#settle();
    tellAll(this.pending, ({ call, listener }, index) => {
      const outcome = parseReply(call, Array.isArray(replies) ? replies[index] : replies);
      if (outcome instanceof NodeError) {
        if (!late) listener.failure(outcome);
      } else if (late) listener.late?.({ reply: outcome, sentAt, server });
      else listener.answer({ reply: outcome, sentAt, server });
    });
  }

  /** Tells everybody that there is no answer, unless they have been told something. */
  fail(error: NodeError): void {
    if (!this.#settled) {
      this.#settle();
      tellAll(this.pending, ({ listener }) => listener.failure(error));
    }
  }

  #timeOut(): void {
    this.fail(new NodeError("timed-out", `no answer within ${this.#timeout} ms`));
  }

  #settle(): void {
    this.#settled = true;
    this.#clock.clearTimer(this.#deadline);
  }
}

/** Tells everybody, whatever one of them throws: that is thrown when all have been told. */
export function tellAll(
  pending: readonly Pending[],
  tell: (pending: Pending, index: number) => void,
): void {
  const thrown: unknown[] = [];
  for (const [index, each] of pending.entries()) {
    try {
      tell(each, index);
    } catch (error) {
      thrown.push(error);
    }
  }
  if (thrown.length > 0) throw thrown[0];
}

function parseReply({ operation, args }: Call<unknown, unknown>, raw: unknown): unknown {
  const reply = replyOf(raw);
  if (reply === undefined) return new NodeError("refused", "an answer that is none of ours");
  if (reply[0] === FAILED) return new NodeError("refused", String(reply[1]));
  try {
    return operation.parse(reply, args);
  } catch (error) {
    return new NodeError("refused", describeConnectionError(error));
  }
}
