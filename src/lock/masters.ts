import { Batch } from "../redis/batch.ts";
import type { NodeError } from "../redis/node-error.ts";
import type { NodePort } from "../redis/node-port.ts";
import {
  type AnyRequest,
  Request,
  type FastPath,
  type Operation,
  type Responses,
} from "../redis/operation.ts";
import { Delivery, type DeliveryListener, DeliveryLog } from "./delivery.ts";
import { quorumOf } from "./quorum.ts";

/** Most keys in one batch, unless a single request has more: a longer one would keep other clients of a master waiting. */
const LARGEST_BATCH = 128;

/** Runs something at the end of the current step of the program. `busy`: answers are under way. */
export type Defer = (run: () => void, busy: boolean) => void;

/** What {@link Masters} need besides their ports. */
interface MastersOptions extends DeliveryListener {
  /** Serves ordinary requests. */
  readonly fastPath?: FastPath | undefined;
  readonly defer: Defer;
}

/**
 * The N independent masters of Redlock. Every request goes to all of them at once, and each answers for itself: there is no
 * replication between them, so only a quorum of their answers means anything.
 *
 * Invariant: a request settles once per master, with the answer or the failure of that master; a server that is listed twice
 * has one vote. All requests that are started in one step of the program travel as one batch.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("The Redlock Algorithm")
 */
export class Masters {
  readonly ports: readonly NodePort[];
  readonly names: readonly string[];
  readonly quorum: number;
  readonly #options: MastersOptions;
  readonly #log: DeliveryLog;
  /** Requests for all masters that are not sent yet. */
  #started: AnyRequest[] = [];
  /** The same, for a master that also has requests of its own. */
  #ownStarted: (AnyRequest[] | undefined)[] = [];
  #isScheduled = false;

  constructor(ports: readonly NodePort[], options: MastersOptions) {
    this.ports = ports;
    this.names = ports.map(({ name }) => name);
    this.quorum = quorumOf(ports.length);
    this.#options = options;
    this.#log = new DeliveryLog(this.names, options);
  }

  /** Has every master execute the operation. `responses` receives one answer or failure of each. */
  broadcast<A, R>(operation: Operation<A, R>, args: A, responses?: Responses<R>): void {
    const request: AnyRequest = new Request(operation, args, responses);
    this.#started.push(request);
    for (const own of this.#ownStarted) own?.push(request);
    this.#schedule();
  }

  /**
   * As {@link broadcast}, and counts the answers.
   * @param received runs for each master with its reply or its failure, and with the number of masters that are still to answer.
   * @param late runs with a reply that comes after the failure.
   */
  gather<A, R>(
    operation: Operation<A, R>,
    args: A,
    received: (node: number, reply: R | NodeError, open: number) => void,
    late?: (node: number, reply: R) => void,
  ): void {
    let open = this.ports.length;
    const settle = (node: number, reply: R | NodeError): void => received(node, reply, (open -= 1));
    this.broadcast(operation, args, { answer: settle, failure: settle, ...(late && { late }) });
  }

  /** As {@link gather}. @returns the reply or the failure of each master. */
  gatherAll<A, R>(
    operation: Operation<A, R>,
    args: A,
    late?: (node: number, reply: R) => void,
  ): Promise<(R | NodeError)[]> {
    const replies: (R | NodeError)[] = [];
    return new Promise((resolve) => {
      const received = (node: number, reply: R | NodeError, open: number): void => {
        replies[node] = reply;
        if (open === 0) resolve(replies);
      };
      this.gather(operation, args, received, late);
    });
  }

  /** As {@link broadcast}, to one master. */
  ask<A, R>(node: number, operation: Operation<A, R>, args: A, responses: Responses<R>): void {
    // Requests that were started before are executed before.
    const own = (this.#ownStarted[node] ??= [...this.#started]);
    own.push(new Request(operation, args, responses));
    this.#schedule();
  }

  /** Sends what was started, and ends the connections. Idempotent. */
  close(): void {
    this.#send();
    for (const port of this.ports) port.close();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.defer(() => this.#send(), this.#log.isBusy);
  }

  #send(): void {
    this.#isScheduled = false;
    const [started, ownStarted] = [this.#started, this.#ownStarted];
    this.#started = [];
    this.#ownStarted = [];
    const shared = this.#deliver(started, ownStarted.length === 0);
    for (const [node, port] of this.ports.entries()) {
      const own = ownStarted[node];
      for (const delivery of own === undefined ? shared : this.#deliver(own, false)) {
        delivery.send(node, port);
      }
    }
  }

  #deliver(requests: readonly AnyRequest[], isShared: boolean): Delivery[] {
    const deliveries: Delivery[] = [];
    for (const part of inParts(requests)) {
      deliveries.push(new Delivery(new Batch(part, this.#options.fastPath), this.#log, isShared));
    }
    return deliveries;
  }
}

/** Divides requests so that no part is larger than {@link LARGEST_BATCH}. */
function inParts(requests: readonly AnyRequest[]): (readonly AnyRequest[])[] {
  const parts: (readonly AnyRequest[])[] = [];
  let from = 0;
  let size = 0;
  for (let index = 0; index < requests.length; index++) {
    const each = requests[index]?.size ?? 0;
    if (index > from && size + each > LARGEST_BATCH) {
      parts.push(requests.slice(from, index));
      from = index;
      size = 0;
    }
    size += each;
  }
  if (requests.length > 0) parts.push(from === 0 ? requests : requests.slice(from));
  return parts;
}
