import type { Batch } from "../redis/batch.ts";
import { NodeError } from "../redis/node-error.ts";
import type { BatchListener } from "../redis/node-port.ts";
import type { AnyRequest } from "../redis/operation.ts";
import type { MastersOptions } from "./masters.ts";
import { quorumOf } from "./quorum.ts";

/** What the deliveries of one client share: how many are under way, and which server answers for which entry of `nodes`. */
export class DeliveryLog {
  readonly #names: readonly string[];
  readonly #options: MastersOptions;
  /** The entry that votes for each server. */
  readonly #voters = new Map<string, number>();
  readonly #reported = new Set<number>();
  #underWay = 0;

  constructor(names: readonly string[], options: MastersOptions) {
    this.#names = names;
    this.#options = options;
  }

  /** Whether a quorum of answers may be under way: the answers after a quorum decide nothing, and requests need not wait for them. */
  get isBusy(): boolean {
    return this.#underWay > this.#names.length - quorumOf(this.#names.length);
  }

  started(): void {
    this.#underWay += 1;
  }

  /** @param sentAt when the batch was sent, if the master has answered it. */
  ended(node: number, sentAt?: number): void {
    this.#underWay -= 1;
    if (sentAt !== undefined) this.#options.onAnswer?.(node, sentAt);
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
    if (!this.#reported.has(node)) this.#options.onDuplicate?.(node, voter);
    this.#reported.add(node);
    return new NodeError("duplicate", `the same server as ${this.#names[voter] ?? "another node"}`);
  }
}

/** A batch at one master: passes the outcome there to each request. */
export class Delivery implements BatchListener {
  readonly #node: number;
  readonly #batch: Batch;
  readonly #log: DeliveryLog;

  constructor(node: number, batch: Batch, log: DeliveryLog) {
    this.#node = node;
    this.#batch = batch;
    this.#log = log;
    log.started();
  }

  answer(replies: readonly unknown[], sentAt: number, server: string): void {
    const node = this.#node;
    const duplicate = this.#log.duplicate(node, server);
    if (duplicate !== undefined) return this.failure(duplicate);
    this.#log.ended(node, sentAt);
    this.#forEach(({ responses }, index) => {
      const reply = replies[index];
      if (reply instanceof NodeError) responses.failure(node, reply);
      else responses.answer(node, reply, sentAt);
    });
  }

  failure(error: NodeError): void {
    this.#log.ended(this.#node);
    this.#forEach(({ responses }) => responses.failure(this.#node, error));
  }

  late(replies: readonly unknown[], sentAt: number, server: string): void {
    const node = this.#node;
    if (this.#log.duplicate(node, server) !== undefined) return;
    this.#forEach(({ responses }, index) => {
      const reply = replies[index];
      if (!(reply instanceof NodeError)) responses.late?.(node, reply, sentAt);
    });
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
