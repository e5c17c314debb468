import { type Answer, type AnswerListener, NodeError, type NodePort } from "../redis/node-port.ts";
import { Call, type Operation } from "../redis/operation.ts";
import { quorumOf } from "./quorum.ts";

/** What becomes of one master's part of a broadcast. */
export interface Responses<R> {
  /** The master answered in time. */
  answer(node: number, reply: R, sentAt: number): void;
  /** The master did not answer in time, or its answer does not count. */
  failure(node: number, error: NodeError): void;
  /** The master answered after `failure` was called. */
  late?(node: number, reply: R, sentAt: number): void;
}

/** The independent masters: the same operation goes to all of them at once, each answers for itself. */
export class Masters {
  readonly ports: readonly NodePort[];
  readonly names: readonly string[];
  readonly quorum: number;
  /** Which entry speaks for a server; another entry that reaches the same server has no vote. */
  readonly #speakers = new Map<string, number>();
  readonly #reported = new Set<number>();
  readonly #onDuplicate: (node: number, first: number) => void;

  constructor(
    ports: readonly NodePort[],
    onDuplicate: (node: number, first: number) => void = () => {},
  ) {
    this.ports = ports;
    this.names = ports.map(({ name }) => name);
    this.quorum = quorumOf(ports.length);
    this.#onDuplicate = onDuplicate;
  }

  /** Starts the operation on every master in this very tick. Each gets exactly one answer or failure. */
  broadcast<A, R>(operation: Operation<A, R>, args: A, responses: Responses<R>): void {
    const call = new Call(operation, args);
    for (let node = 0; node < this.ports.length; node++) {
      this.ports[node]?.ask(call, new Share(node, this, responses));
    }
  }

  /** As {@link broadcast}, to one master. */
  ask<A, R>(node: number, operation: Operation<A, R>, args: A, responses: Responses<R>): void {
    this.ports[node]?.ask(new Call(operation, args), new Share(node, this, responses));
  }

  /** Takes note of which server an entry reaches. False when another entry speaks for it. @internal */
  speaks(node: number, server: string): boolean {
    // A server that hides its identity can not be told from another.
    if (server === "") return true;
    const speaker = this.#speakers.get(server);
    if (speaker === node) return true;
    if (speaker !== undefined) {
      if (!this.#reported.has(node)) this.#onDuplicate(node, speaker);
      this.#reported.add(node);
      return false;
    }
    for (const [known, owner] of this.#speakers) if (owner === node) this.#speakers.delete(known);
    this.#speakers.set(server, node);
    return true;
  }

  /** Why an answer of a server does not count for an entry that does not speak for it. @internal */
  duplicate(server: string): NodeError {
    const first = this.names[this.#speakers.get(server) ?? 0] ?? "another node";
    return new NodeError("duplicate", `the same server as ${first}`);
  }

  close(): void {
    for (const port of this.ports) port.close();
  }
}

/** One master's part of a broadcast. A class and no closures: there is one for each lock, step and master. */
class Share<R> implements AnswerListener<R> {
  readonly #node: number;
  readonly #masters: Masters;
  readonly #responses: Responses<R>;

  constructor(node: number, masters: Masters, responses: Responses<R>) {
    this.#node = node;
    this.#masters = masters;
    this.#responses = responses;
  }

  answer({ reply, sentAt, server }: Answer<R>): void {
    const node = this.#node;
    if (this.#masters.speaks(node, server)) this.#responses.answer(node, reply, sentAt);
    else this.#responses.failure(node, this.#masters.duplicate(server));
  }

  failure(error: NodeError): void {
    this.#responses.failure(this.#node, error);
  }

  late({ reply, sentAt, server }: Answer<R>): void {
    const node = this.#node;
    if (this.#masters.speaks(node, server)) this.#responses.late?.(node, reply, sentAt);
  }
}
