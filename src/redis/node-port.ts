import { Batch, type Replies } from "./batch.ts";
import { NodeError } from "./node-error.ts";
import { Request, type Operation } from "./operation.ts";

/** Receives the outcome of a batch at one master: `answer` or `failure`, once, and never before `send` has returned. */
export interface BatchListener {
  /**
   * The master answered in time.
   * @param replies for each request the reply, or a {@link NodeError} that explains why there is none; `undefined` when the
   * fast path has served all of them.
   * @param sentAt clock time *before* the batch was written: the master cannot have executed it earlier.
   * @param server names the server process that answered, anew after each restart; empty when the server hides it.
   */
  answer(replies: Replies, sentAt: number, server: string): void;
  /** The master gave no answer that counts before the deadline. */
  failure(error: NodeError): void;
  /** As {@link answer}, after the deadline had passed. */
  late(replies: Replies, sentAt: number, server: string): void;
}

/** One lock master as the lock sees it. The real implementation is `Master`; simulations bring their own. */
export interface NodePort {
  /** `host:port`, `host:port/db` or a socket path; never with credentials. */
  readonly name: string;
  /**
   * Executes the requests of a batch on the master, at most once. Batches are executed in the order in which they were sent
   * while the connection lives. The deadline counts from the writing: a batch that is not written yet waits for those before
   * it as long as the master answers them, and waits for a new connection until its own deadline.
   */
  send(batch: Batch, listener: BatchListener): void;
  /**
   * Whether the failure of a request that was started at `since` or later was due to the connection alone, and the master can
   * be asked again: a new connection was made since, or a suspect one has answered. Waits while that is undecided.
   */
  recovers(since: number): Promise<boolean>;
  /** Why the master is taken to be silent: an answer, or the first connection, is overdue, and none has come since. `undefined` else. */
  readonly silence?: string | undefined;
  /** Milliseconds for which the server has been running, by its own account; 0 when unknown. */
  uptime(): number;
  /** Calls `listener` with each message on the channel, until the port is closed. Once for a channel. Best effort. */
  subscribe(channel: string, listener: (message: string) => void): void;
  /** Ends the connections at once; what is in flight is rejected. Idempotent. */
  close(): void;
}

/** The reply of a master, and when the request was sent. */
interface Answer<R> {
  readonly reply: R;
  readonly sentAt: number;
  readonly server: string;
}

/**
 * Sends one request to one master.
 * @throws {NodeError} when the master gives no answer that counts in time.
 */
export function askNode<A, R>(
  port: NodePort,
  operation: Operation<A, R>,
  args: A,
): Promise<Answer<R>> {
  return new Promise((resolve, reject) => {
    port.send(new Batch([new Request(operation, args)]), {
      answer: (replies, sentAt, server) => {
        const reply = replies?.[0];
        if (reply instanceof NodeError) reject(reply);
        else resolve({ reply: reply as R, sentAt, server });
      },
      failure: reject,
      late: () => {},
    });
  });
}
