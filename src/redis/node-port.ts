import { Batch } from "./batch.ts";
import { NodeError } from "./node-error.ts";
import { Request, type Operation } from "./operation.ts";

/** What becomes of a batch at one master: exactly one of the first two, never before `send` has returned. */
export interface BatchListener {
  /**
   * The master answered in time.
   * @param replies a reply to each call, or a {@link NodeError} that says why there is none.
   * @param sentAt clock time *before* the batch was written: the master cannot have executed it earlier.
   * @param server names the server process that answered, anew after each restart; empty when the server hides it.
   */
  answer(replies: readonly unknown[], sentAt: number, server: string): void;
  /** The master gave no answer that counts within the node's deadline. */
  failure(error: NodeError): void;
  /** As {@link answer}, after the deadline had passed. */
  late(replies: readonly unknown[], sentAt: number, server: string): void;
}

/**
 * One lock master as the lock sees it. The real one is {@link Master}; simulations bring their own.
 */
export interface NodePort {
  /** `host:port`, `host:port/db` or a socket path; never with credentials. */
  readonly name: string;
  /**
   * Executes the calls of a batch on the master, at most once. Batches that were sent in an order are executed in that order
   * while the connection lives. The listener is told within the node's deadline, which counts from the writing: a batch that is
   * not written yet waits for those before it as long as the master answers them, and for a new connection in its own deadline.
   */
  send(batch: Batch, listener: BatchListener): void;
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

/** What a master said, and when it was asked. */
export interface Answer<R> {
  readonly reply: R;
  readonly sentAt: number;
  readonly server: string;
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
    port.send(new Batch([new Request(operation, args)]), {
      answer: ([reply], sentAt, server) => {
        if (reply instanceof NodeError) reject(reply);
        else resolve({ reply: reply as R, sentAt, server });
      },
      failure: reject,
      late: () => {},
    });
  });
}
