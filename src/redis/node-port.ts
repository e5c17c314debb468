import { Call, type Operation } from "./operation.ts";

/** What a master said, and when it was asked. */
export interface Answer<R> {
  readonly reply: R;
  /** Clock time *before* the command was written: the master cannot have executed it earlier. */
  readonly sentAt: number;
  /** Names the server process that answered, anew after each restart; empty when the server hides it. */
  readonly server: string;
}

/** Why a master gave no answer that counts. */
export type NodeFailure = "timed-out" | "unreachable" | "refused" | "duplicate";

/** A master gave no answer that counts. */
export class NodeError extends Error {
  override readonly name = "NodeError";
  readonly failure: NodeFailure;

  /** @param reason in words, without the node's name: "ECONNREFUSED", "NOAUTH ...". */
  constructor(failure: NodeFailure, reason: string) {
    super(reason);
    this.failure = failure;
  }
}

/** Who waits for what a master says to a call: exactly one of the first two is called, never before `ask` has returned. */
export interface AnswerListener<R> {
  answer(answer: Answer<R>): void;
  /** The master gave no answer that counts within the node's deadline. */
  failure(error: NodeError): void;
  /** An answer came after the deadline had passed. */
  late?(answer: Answer<R>): void;
}

/**
 * One lock master as the lock sees it. The real one is {@link RedisNode}; simulations bring their own.
 */
export interface NodePort {
  /** `host:port`, `host:port/db` or a socket path; never with credentials. */
  readonly name: string;
  /**
   * Executes the call on the master, at most once. Calls started in the same order are executed in the same order while
   * the connection lives. The listener is told within the node's deadline, which counts from the writing: a call that is not
   * written yet waits for those before it as long as the master answers them, and for a new connection in its own deadline.
   */
  ask<A, R>(call: Call<A, R>, listener: AnswerListener<R>): void;
  /**
   * After a call that was started at `since` or later has failed: whether it was the connection, and the master can be asked
   * again. True when a new connection has been made since, or one in doubt has answered; waits while that is open.
   */
  recovers(since: number): Promise<boolean>;
  /** For how many milliseconds the server has been running, as it says itself; 0 when that is not known. */
  uptime(): number;
  /** Calls `listener` with each message on the channel until the returned function is called. Best effort. */
  subscribe(channel: string, listener: (message: string) => void): () => void;
  /** Ends the connections at once; what is in flight is rejected. Idempotent. */
  close(): void;
}

/**
 * Asks one master one thing.
 * @throws {NodeError} when it gives no answer that counts in time.
 */
export function askNode<A, R>(
  port: NodePort,
  operation: Operation<A, R>,
  args: A,
): Promise<Answer<R>> {
  return new Promise((resolve, reject) => {
    port.ask(new Call(operation, args), { answer: resolve, failure: reject });
  });
}
