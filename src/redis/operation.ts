import type { NodeError } from "./node-error.ts";

/**
 * An atomic operation on one master: Lua on the server, a typed reply here.
 *
 * The Lua is the body of a function of `keys` and `argv`, which are arrays of strings. It returns a status, or an array whose
 * first element is a status. It may use the functions of the script's prelude, and `server`, the identity of the master that
 * executes it; see `composeScript`.
 */
export interface Operation<A, R> {
  readonly name: string;
  readonly lua: string;
  keys(args: A): readonly string[];
  argv(args: A): readonly (string | number)[];
  /**
   * True when the operation may be executed again, and late. If the connection is lost before the answer, the next connection
   * executes it first.
   */
  readonly repeatable?: boolean;
  /**
   * True when the operation concerns a granted lock. It does not wait for the first connection longer than the node timeout:
   * a master that was never connected has no part in the lock.
   */
  readonly prompt?: boolean;
  /** True when the operation only looks, for a caller who learns what a master refuses: locks do without it. */
  readonly looks?: boolean;
  /** Turns the raw reply into a typed one; throws when the reply has another form. */
  parse(reply: readonly unknown[], args: A): R;
  /** How the fast path of the script serves the operation, if it does. */
  readonly fast?: FastEntry<A> & {
    /** The reply of a request that the fast path has served. */
    served(args: A): R;
  };
}

/** A part of a raw reply as a list; empty for anything else. */
export function listOf(raw: unknown): readonly unknown[] {
  return Array.isArray(raw) ? (raw as unknown[]) : [];
}

/** The pairs of a flat list in a raw reply. */
export function pairsOf(raw: unknown): [unknown, unknown][] {
  const parts = listOf(raw);
  return parts.flatMap((first, index): [unknown, unknown][] =>
    index % 2 === 0 ? [[first, parts[index + 1]]] : [],
  );
}

/** How the fast path of a script takes the requests of an operation. */
export interface FastEntry<A> {
  /** Entries are served by ascending rank. */
  readonly rank: number;
  /** False for a request that the fast path never serves. */
  takes(args: A): boolean;
  /** The argument that only this operation has. */
  detail(args: A): string;
}

/**
 * The part of a script that serves ordinary requests together, without JSON. An entry that it cannot serve is _odd_: its
 * operation executes it.
 */
export interface FastPath {
  /**
   * Lua that serves entries. If no entry is odd and there is no other request, it returns 1, or a text that begins with the
   * run id and a dot: that text then stands for the run id, as `known`, in the next calls on the same connection.
   */
  readonly lua: string;
  /** Lua that executes odd entries by `run(name, keys, argv)`, and fills `oddReplies` with pairs of an index and a reply. */
  readonly oddLua: string;
  /**
   * The arguments for requests that are sorted by rank.
   * @param others the other requests as JSON.
   */
  encode(requests: readonly AnyRequest[], others: string): string[];
}

/** The masters that have served a request by the fast path. It grows while answers arrive. */
export interface ServedBy {
  /** When the request was sent to the first of the quorum that served it first. */
  readonly since: number;
  /** When the request was sent to a master that has served it; `undefined` for any other master. */
  sentAt(node: number): number | undefined;
}

/** Receives the answers to a request: for each master `answer` or `failure`, once, and never before the request is sent. */
export interface Responses<R> {
  /**
   * Stands for the answers of a quorum: each has served the request by the fast path, as the operation says (`served`). Later
   * answers of that kind are added to `by` without a call, until one of another kind has arrived.
   */
  served?(by: ServedBy): void;
  /** The master answered in time. */
  answer(node: number, reply: R, sentAt: number): void;
  /** The master did not answer in time, or its answer does not count. */
  failure(node: number, error: NodeError): void;
  /** The master answered after `failure`. */
  late?(node: number, reply: R, sentAt: number): void;
}

/** An operation with its arguments, ready to be sent to any number of masters. */
export class Request<A, R> {
  readonly operation: Operation<A, R>;
  readonly args: A;
  readonly responses: Responses<R>;
  /** Whether the request is an entry of the fast path. */
  readonly isEntry: boolean;
  #text: string | undefined;
  #size: number | undefined;

  constructor(operation: Operation<A, R>, args: A, responses: Responses<R> = IGNORED) {
    this.operation = operation;
    this.args = args;
    this.responses = responses;
    this.isEntry = responses.served !== undefined && operation.fast?.takes(args) === true;
  }

  /** How much work it is for a master: as much as so many entries. */
  get size(): number {
    // Each key has the name of its lock and that of its fence.
    this.#size ??= this.isEntry ? 1 : Math.ceil(this.operation.keys(this.args).length / 2);
    return this.#size;
  }

  /** The request as JSON, for the operations behind the fast path. It is written once for all masters. */
  get text(): string {
    this.#text ??= textOf(this.operation, this.args);
    return this.#text;
  }
}

/** A request for any operation. */
export type AnyRequest = Request<unknown, unknown>;

const IGNORED: Responses<unknown> = { answer: () => {}, failure: () => {}, served: () => {} };

/** Half of a surrogate pair, as JSON writes it; the JSON reader of Lua refuses it. */
const LONE_SURROGATE = /\\u[dD][89a-fA-F]/;

function textOf<A>(operation: Operation<A, unknown>, args: A): string {
  const parts = [operation.name, operation.keys(args), operation.argv(args).map(String)];
  const text = JSON.stringify(parts);
  return LONE_SURROGATE.test(text) ? JSON.stringify(parts, wellFormed) : text;
}

/** UTF-8 turns half a pair into U+FFFD, as in every other string that is sent. */
function wellFormed(_: string, part: unknown): unknown {
  return typeof part === "string" ? part.toWellFormed() : part;
}
