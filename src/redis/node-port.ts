import type { Operation } from "./operation.ts";

/** What a master said, and when it was asked. */
export interface Answer<R> {
  readonly reply: R;
  /** Clock time *before* the command was written: the master cannot have executed it earlier. */
  readonly sentAt: number;
  /** Names the server process that answered, anew after each restart; empty when the server hides it. */
  readonly server: string;
}

/** Why a master gave no answer that counts. */
export type NodeFailure = "timed out" | "unreachable" | "refused" | "duplicate";

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

/**
 * One lock master as the lock sees it. The real one is {@link RedisNode}; simulations bring their own.
 */
export interface NodePort {
  /** `host:port`, `host:port/db` or a socket path; never with credentials. */
  readonly name: string;
  /**
   * Executes the operation on the master, at most once. Operations started in the same order are executed in
   * the same order while the connection lives.
   *
   * Rejects with a {@link NodeError} within the node's deadline, whatever the master does. An answer that
   * comes after that is handed to `late`.
   */
  run<A, R>(
    operation: Operation<A, R>,
    args: A,
    late?: (answer: Answer<R>) => void,
  ): Promise<Answer<R>>;
  /** For how many milliseconds the server has been running, as it says itself; 0 when that is not known. */
  uptime(): number;
  /** Calls `listener` with each message on the channel until the returned function is called. Best effort. */
  subscribe(channel: string, listener: (message: string) => void): () => void;
  /** Ends the connections at once; what is in flight is rejected. Idempotent. */
  close(): void;
}
