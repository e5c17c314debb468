import { Batch } from "../redis/batch.ts";
import { NodeError } from "../redis/node-error.ts";
import type { BatchListener, NodePort } from "../redis/node-port.ts";
import {
  type AnyRequest,
  Request,
  type FastPath,
  type Operation,
  type Responses,
} from "../redis/operation.ts";
import { quorumOf } from "./quorum.ts";

/** Most calls of one batch: longer ones would keep other clients of a master waiting. */
const LARGEST_BATCH = 128;

/** Runs something at the end of the present step of the program. `busy`: answers are under way. */
export type Defer = (run: () => void, busy: boolean) => void;

/** What {@link Masters} need besides their ports. */
export interface MastersOptions {
  /** What serves ordinary calls. */
  readonly fastPath?: FastPath | undefined;
  readonly defer: Defer;
  onDuplicate?(node: number, first: number): void;
  /** A master has answered a batch that was sent at `sentAt`. */
  onAnswer?(node: number, sentAt: number): void;
}

/**
 * The independent masters. All calls that are started in one step of the program travel as one batch, which is written once for
 * all masters; each master answers for itself.
 */
export class Masters {
  readonly ports: readonly NodePort[];
  readonly names: readonly string[];
  readonly quorum: number;
  readonly #options: MastersOptions;
  /** Which entry speaks for a server; another entry that reaches the same server has no vote. */
  readonly #speakers = new Map<string, number>();
  readonly #reported = new Set<number>();
  /** Calls for all masters that are not sent yet. */
  #started: AnyRequest[] = [];
  /** The same for a master that is to get others too. */
  #ownStarted: (AnyRequest[] | undefined)[] = [];
  #isScheduled = false;
  #underWay = 0;

  constructor(ports: readonly NodePort[], options: MastersOptions) {
    this.ports = ports;
    this.names = ports.map(({ name }) => name);
    this.quorum = quorumOf(ports.length);
    this.#options = options;
  }

  /** Has every master execute the operation. Each gives exactly one answer or failure. */
  broadcast<A, R>(operation: Operation<A, R>, args: A, responses: Responses<R>): void {
    const call: AnyRequest = new Request(operation, args, responses);
    this.#started.push(call);
    for (const own of this.#ownStarted) own?.push(call);
    this.#schedule();
  }

  /** As {@link broadcast}, to one master. */
  ask<A, R>(node: number, operation: Operation<A, R>, args: A, responses: Responses<R>): void {
    // Calls that were started before are executed before.
    const own = (this.#ownStarted[node] ??= [...this.#started]);
    own.push(new Request(operation, args, responses));
    this.#schedule();
  }

  /** Takes note of which server an entry reaches. False when another entry speaks for it. */
  speaks(node: number, server: string): boolean {
    // A server that hides its identity can not be told from another.
    if (server === "") return true;
    const speaker = this.#speakers.get(server);
    if (speaker === node) return true;
    if (speaker !== undefined) {
      if (!this.#reported.has(node)) this.#options.onDuplicate?.(node, speaker);
      this.#reported.add(node);
      return false;
    }
    for (const [known, owner] of this.#speakers) if (owner === node) this.#speakers.delete(known);
    this.#speakers.set(server, node);
    return true;
  }

  /** Why an answer of a server does not count for an entry that does not speak for it. */
  duplicate(server: string): NodeError {
    const first = this.names[this.#speakers.get(server) ?? 0] ?? "another node";
    return new NodeError("duplicate", `the same server as ${first}`);
  }

  /** A master has answered a batch, or failed to. */
  landed(): void {
    this.#underWay -= 1;
  }

  /** A master has answered what was sent at `sentAt`. */
  answered(node: number, sentAt: number): void {
    this.#options.onAnswer?.(node, sentAt);
  }

  /** Sends what was started, and ends the connections. Idempotent. */
  close(): void {
    this.#send();
    for (const port of this.ports) port.close();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.defer(() => this.#send(), this.#underWay > 0);
  }

  #send(): void {
    this.#isScheduled = false;
    const [started, ownStarted] = [this.#started, this.#ownStarted];
    this.#started = [];
    this.#ownStarted = [];
    const shared = this.#batchesOf(started);
    for (const [node, port] of this.ports.entries()) {
      const own = ownStarted[node];
      for (const batch of own === undefined ? shared : this.#batchesOf(own)) {
        this.#underWay += 1;
        port.send(batch, new Delivery(node, this, batch));
      }
    }
  }

  #batchesOf(calls: readonly AnyRequest[]): Batch[] {
    const batches: Batch[] = [];
    for (let from = 0; from < calls.length; from += LARGEST_BATCH) {
      const part = calls.length <= LARGEST_BATCH ? calls : calls.slice(from, from + LARGEST_BATCH);
      batches.push(new Batch(part, this.#options.fastPath));
    }
    return batches;
  }
}

/** One master's part of a batch: tells each call what becomes of it there. */
class Delivery implements BatchListener {
  readonly #node: number;
  readonly #masters: Masters;
  readonly #batch: Batch;

  constructor(node: number, masters: Masters, batch: Batch) {
    this.#node = node;
    this.#masters = masters;
    this.#batch = batch;
  }

  answer(replies: readonly unknown[], sentAt: number, server: string): void {
    const node = this.#node;
    if (!this.#masters.speaks(node, server)) return this.failure(this.#masters.duplicate(server));
    this.#masters.landed();
    this.#masters.answered(node, sentAt);
    this.#tell(({ responses }, index) => {
      const reply = replies[index];
      if (reply instanceof NodeError) responses.failure(node, reply);
      else responses.answer(node, reply, sentAt);
    });
  }

  failure(error: NodeError): void {
    this.#masters.landed();
    this.#tell(({ responses }) => responses.failure(this.#node, error));
  }

  late(replies: readonly unknown[], sentAt: number, server: string): void {
    const node = this.#node;
    if (!this.#masters.speaks(node, server)) return;
    this.#tell(({ responses }, index) => {
      const reply = replies[index];
      if (!(reply instanceof NodeError)) responses.late?.(node, reply, sentAt);
    });
  }

  /** Tells all, whatever one of them throws: that is thrown when all have been told. */
  #tell(tell: (call: AnyRequest, index: number) => void): void {
    const thrown: unknown[] = [];
    const { requests: calls } = this.#batch;
    for (let index = 0; index < calls.length; index++) {
      try {
        tell(calls[index] as AnyRequest, index);
      } catch (error) {
        thrown.push(error);
      }
    }
    if (thrown.length > 0) throw thrown[0];
  }
}
