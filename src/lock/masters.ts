import { type Answer, NodeError, type NodePort } from "../redis/node-port.ts";
import type { Operation } from "../redis/operation.ts";
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
    for (const [node, port] of this.ports.entries()) {
      const late = (answer: Answer<R>): void => {
        if (this.#speaks(node, answer.server)) {
          responses.late?.(node, answer.reply, answer.sentAt);
        }
      };
      port.run(operation, args, late).then(
        ({ reply, sentAt, server }) => {
          if (this.#speaks(node, server)) responses.answer(node, reply, sentAt);
          else responses.failure(node, this.#duplicate(server));
        },
        (error: unknown) => responses.failure(node, asNodeError(error)),
      );
    }
  }

  close(): void {
    for (const port of this.ports) port.close();
  }

  #speaks(node: number, server: string): boolean {
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

  #duplicate(server: string): NodeError {
    const first = this.names[this.#speakers.get(server) ?? 0] ?? "another node";
    return new NodeError("duplicate", `the same server as ${first}`);
  }
}

function asNodeError(error: unknown): NodeError {
  if (error instanceof NodeError) return error;
  return new NodeError("refused", error instanceof Error ? error.message : String(error));
}
