import type { Batch, Replies } from "../redis/batch.ts";
import { NodeError } from "../redis/node-error.ts";
import type { BatchListener, NodePort } from "../redis/node-port.ts";
import type { AnyRequest, ServedBy } from "../redis/operation.ts";
import { quorumOf } from "./quorum.ts";

/** Receives what deliveries learn of the masters. */
export interface DeliveryListener {
  onDuplicate?(node: number, first: number): void;
  /** A master has answered a batch that was sent at `sentAt`. */
  onAnswer?(node: number, sentAt: number): void;
  /** A master has answered a request for an operation with an error. */
  onRefused?(node: number, operation: AnyRequest["operation"], error: NodeError): void;
}

/** What the deliveries of one client share: how many are under way, and which server answers for which entry of `nodes`. */
export class DeliveryLog {
  readonly quorum: number;
  readonly #names: readonly string[];
  readonly #listener: DeliveryListener;
  /** The entry that votes for each server. */
  readonly #voters = new Map<string, number>();
  readonly #reported = new Set<number>();
  #underWay = 0;

  constructor(names: readonly string[], listener: DeliveryListener) {
    this.quorum = quorumOf(names.length);
    this.#names = names;
    this.#listener = listener;
  }

  /** Whether a quorum of answers may be under way: the answers after a quorum decide nothing, and requests need not wait for them. */
  get isBusy(): boolean {
    return this.#underWay > this.#names.length - this.quorum;
  }

  started(): void {
    this.#underWay += 1;
  }

  /** @param sentAt when the batch was sent, if the master has answered it. */
  ended(node: number, sentAt?: number): void {
    this.#underWay -= 1;
    if (sentAt !== undefined) this.#listener.onAnswer?.(node, sentAt);
  }

  /** Receives the failure of a request. */
  failed(node: number, { operation }: AnyRequest, error: NodeError): void {
    if (error.failure === "refused") this.#listener.onRefused?.(node, operation, error);
  }

  /** Returns the error for an entry whose server has a vote by another entry. */
  duplicate(node: number, server: string): NodeError | undefined {
    // A server that hides its identity cannot be distinguished from another.
    if (server === "") return undefined;
    const voter = this.#voters.get(server);
    if (voter === node) return undefined;
    if (voter === undefined) {
      for (const [known, other] of this.#voters) if (other === node) this.#voters.delete(known);
      this.#voters.set(server, node);
      return undefined;
    }
    if (!this.#reported.has(node)) this.#listener.onDuplicate?.(node, voter);
    this.#reported.add(node);
    return new NodeError("duplicate", `the same server as ${this.#names[voter] ?? "another node"}`);
  }
}

/** See {@link ServedBy}. It is no part of the batch: a lock that keeps it must not keep the requests of other locks. */
class ServedMasters implements ServedBy {
  readonly #sentAt: (number | undefined)[] = [];
  since = Infinity;
  count = 0;

  sentAt(node: number): number | undefined {
    return this.#sentAt[node];
  }

  add(node: number, sentAt: number, quorum: number): void {
    this.#sentAt[node] = sentAt;
    this.count += 1;
    if (this.count <= quorum) this.since = Math.min(this.since, sentAt);
  }

  forEach(run: (node: number, sentAt: number) => void): void {
    for (const [node, sentAt] of this.#sentAt.entries())
      if (sentAt !== undefined) run(node, sentAt);
  }
}

/**
 * A batch on its way to the masters: passes what they answer to its requests.
 *
 * Nearly always every master serves the whole batch. Such answers are only counted, and a quorum of them is passed to each
 * request at once. From the first answer of another kind on, each answer is passed to each request.
 */
export class Delivery {
  readonly #batch: Batch;
  readonly #log: DeliveryLog;
  readonly #quorum: number;
  readonly #servedBy = new ServedMasters();
  #isShared: boolean;

  /** @param isShared true for a batch that goes to all masters. */
  constructor(batch: Batch, log: DeliveryLog, isShared: boolean) {
    this.#batch = batch;
    this.#log = log;
    this.#quorum = log.quorum;
    this.#isShared = isShared;
  }

  /** Sends the batch to a master. */
  send(node: number, port: NodePort): void {
    this.#log.started();
    port.send(this.#batch, new DeliveryToMaster(node, this));
  }

  answer(node: number, replies: Replies, sentAt: number, server: string): void {
    const duplicate = this.#log.duplicate(node, server);
    if (duplicate !== undefined) return this.failure(node, duplicate);
    this.#log.ended(node, sentAt);
    if (replies === undefined && this.#isShared) return this.#count(node, sentAt);
    this.#separate();
    this.#pass(node, replies ?? this.#batch.served, sentAt);
  }

  failure(node: number, error: NodeError): void {
    this.#log.ended(node);
    this.#separate();
    this.#forEach((request) => this.#fail(node, request, error));
  }

  late(node: number, replies: Replies, sentAt: number, server: string): void {
    if (this.#log.duplicate(node, server) !== undefined) return;
    const known = replies ?? this.#batch.served;
    this.#forEach(({ responses }, index) => {
      const reply = known[index];
      if (!(reply instanceof NodeError)) responses.late?.(node, reply, sentAt);
    });
  }

  #count(node: number, sentAt: number): void {
    const servedBy = this.#servedBy;
    servedBy.add(node, sentAt, this.#quorum);
    if (servedBy.count === this.#quorum) {
      this.#forEach(({ responses }) => responses.served?.(servedBy));
    }
  }

  /** From now on each answer is passed to each request; also those that no request knows of yet. */
  #separate(): void {
    if (!this.#isShared) return;
    this.#isShared = false;
    const { count } = this.#servedBy;
    if (count > 0 && count < this.#quorum) {
      this.#servedBy.forEach((node, sentAt) => this.#pass(node, this.#batch.served, sentAt));
    }
  }

  #pass(node: number, replies: readonly unknown[], sentAt: number): void {
    this.#forEach((request, index) => {
      const reply = replies[index];
      if (reply instanceof NodeError) this.#fail(node, request, reply);
      else request.responses.answer(node, reply, sentAt);
    });
  }

  #fail(node: number, request: AnyRequest, error: NodeError): void {
    this.#log.failed(node, request, error);
    request.responses.failure(node, error);
  }

  /** Serves every request, also when a listener throws; the first error is thrown at the end. */
  #forEach(run: (request: AnyRequest, index: number) => void): void {
    const thrown: unknown[] = [];
    const { requests } = this.#batch;
    for (let index = 0; index < requests.length; index++) {
      try {
        run(requests[index] as AnyRequest, index);
      } catch (error) {
        thrown.push(error);
      }
    }
    if (thrown.length > 0) throw thrown[0];
  }
}

/** A {@link Delivery} to one master. */
class DeliveryToMaster implements BatchListener {
  readonly #node: number;
  readonly #delivery: Delivery;

  constructor(node: number, delivery: Delivery) {
    this.#node = node;
    this.#delivery = delivery;
  }

  answer(replies: Replies, sentAt: number, server: string): void {
    this.#delivery.answer(this.#node, replies, sentAt, server);
  }

  failure(error: NodeError): void {
    this.#delivery.failure(this.#node, error);
  }

  late(replies: Replies, sentAt: number, server: string): void {
    this.#delivery.late(this.#node, replies, sentAt, server);
  }
}
