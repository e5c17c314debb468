import type { Clock, Timer } from "../clock.ts";
import { describeConnectionError, describeUnfitReply, isForbidden } from "./causes.ts";
import { type AnswerListener, NodeError } from "./node-port.ts";
import { type Arranged, type Call, decodeReplies, FAILED, replyOf, SERVED } from "./operation.ts";

/** A call, and who hears what becomes of it. */
export interface Pending {
  readonly call: Call<unknown, unknown>;
  readonly listener: AnswerListener<unknown>;
  readonly askedAt: number;
}

/** A timer that fires so many ms late was kept from it: the process was busy, and answers may lie unread. */
const BUSY = 20;

/** Calls that travel together as one script call, with one deadline. */
export class Batch {
  readonly pending: readonly Pending[];
  readonly sentAt: number;
  readonly #arranged: Arranged<Pending>;
  readonly #clock: Clock;
  readonly #timeout: number;
  readonly #onDeadline: () => void;
  readonly #deadline: Timer;
  #settled = false;

  /**
   * @param timeout milliseconds after which everybody is told that no answer came.
   * @param onDeadline runs after that.
   */
  constructor(arranged: Arranged<Pending>, clock: Clock, timeout: number, onDeadline: () => void) {
    this.#arranged = arranged;
    this.pending = arranged.calls;
    this.sentAt = clock.now();
    this.#clock = clock;
    this.#timeout = timeout;
    this.#onDeadline = onDeadline;
    this.#deadline = clock.timer(timeout, () => {
      // Immediates run when what has arrived has been read.
      if (clock.now() > this.sentAt + timeout + BUSY) setImmediate(() => this.#timeOut());
      else this.#timeOut();
    });
  }

  /** Whether everybody has been told something. */
  get settled(): boolean {
    return this.#settled;
  }

  /**
   * Tells everybody what a master has said to each call: as an answer, or as one that came too late.
   * @returns why the master must be left, when it said so; the calls that it refused for that.
   */
  answer(returned: unknown, server: string): { cause: string | undefined; refused: Pending[] } {
    const { sentAt } = this;
    const late = this.#settled;
    const refused: Pending[] = [];
    let cause: string | undefined;
    this.#settle();
    const replies = decodeReplies(this.#arranged, returned);
    tellAll(this.pending, (each, index) => {
      const { call, listener } = each;
      const outcome = parseReply(call, replies[index]);
      if (outcome instanceof NodeError) {
        if (outcome.failure === "unreachable") {
          cause = outcome.message;
          refused.push(each);
        }
        if (!late) listener.failure(outcome);
      } else if (late) listener.late?.({ reply: outcome, sentAt, server });
      else listener.answer({ reply: outcome, sentAt, server });
    });
    return { cause, refused };
  }

  /** Tells everybody that there is no answer, unless they have been told something. */
  fail(error: NodeError): void {
    if (this.#settled) return;
    this.#settle();
    tellAll(this.pending, ({ listener }) => listener.failure(error));
  }

  #timeOut(): void {
    if (this.#settled) return;
    this.fail(new NodeError("timed-out", `no answer within ${this.#timeout} ms`));
    this.#onDeadline();
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

/** An error reply of a server; one by which it says that it is no master any more counts as none. */
export function refusal(message: string): NodeError {
  const unfit = describeUnfitReply(message);
  if (unfit !== undefined) return new NodeError("unreachable", unfit);
  const hint = isForbidden(message) ? "; npx bullmq-redlock doctor names what its user lacks" : "";
  return new NodeError("refused", `${message}${hint}`);
}

function parseReply({ operation, args }: Call<unknown, unknown>, raw: unknown): unknown {
  if (raw === SERVED) return operation.fast?.served(args);
  const reply = replyOf(raw);
  if (reply === undefined) return new NodeError("refused", "an answer that is none of ours");
  if (reply[0] === FAILED) return refusal(String(reply[1]));
  try {
    return operation.parse(reply, args);
  } catch (error) {
    return new NodeError("refused", describeConnectionError(error));
  }
}
