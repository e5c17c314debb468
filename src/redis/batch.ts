import { describeConnectionError, NodeError, toNodeError } from "./node-error.ts";
import { type AnyRequest, type FastPath, listOf, pairsOf } from "./operation.ts";

/** The status that a script gives to an operation whose Lua raised an error. */
export const FAILED = "ERROR";

/** The reply to each request of a batch, or the error in its place; `undefined` when the fast path has served all of them. */
export type Replies = readonly unknown[] | undefined;

/**
 * Requests that travel together as one script call, to one master or to all of them. The script call is written once, and
 * replies of the fast path are parsed once, for all masters.
 */
export class Batch {
  /** In the order in which a master executes them. */
  readonly requests: readonly AnyRequest[];
  /** How many of the requests, from the first on, go to the fast path. */
  readonly entries: number;
  readonly #fastPath: FastPath | undefined;
  #args: readonly string[] | undefined;
  #written: string | undefined;
  #bytes: Buffer | undefined;
  #served: readonly unknown[] | undefined;
  #size: number | undefined;

  /** @param started the requests in the order in which they were started. */
  constructor(started: readonly AnyRequest[], fastPath?: FastPath) {
    this.#fastPath = fastPath;
    this.entries = fastPath === undefined ? 0 : countEntries(started);
    this.requests = this.entries < 2 ? started : sortEntries(started, this.entries);
  }

  /** The arguments of the script, except for the last: what names the server process. */
  get args(): readonly string[] {
    this.#args ??= this.#encode();
    return this.#args;
  }

  /**
   * The call of a script in the protocol, without the last argument. It is written once: all masters have the same script.
   * @param sha names the script.
   */
  written(sha: string): string {
    this.#written ??= writeCall(sha, this.args);
    return this.#written;
  }

  /** The same as bytes: a long text would be encoded again for each master. */
  bytes(sha: string): Buffer {
    this.#bytes ??= Buffer.from(this.written(sha));
    return this.#bytes;
  }

  /** Whether a request must not wait for the first connection; see `Operation.prompt`. */
  get isPrompt(): boolean {
    return this.requests.some(({ operation }) => operation.prompt);
  }

  /** Reads what a script call has returned. */
  replies(returned: unknown): Replies {
    if ((returned === 1 || typeof returned === "string") && this.entries === this.requests.length)
      return undefined;
    const [odd, replies] = listOf(returned);
    if (!Array.isArray(odd) || !Array.isArray(replies)) return this.requests.map(unknownReply);
    const oddReplies = new Map(pairsOf(odd).map(([at, reply]) => [Number(at) - 1, reply]));
    return this.requests.map((request, index) => {
      if (index >= this.entries) return parseReply(request, replies[index - this.entries]);
      return oddReplies.has(index)
        ? parseReply(request, oddReplies.get(index))
        : servedReply(request);
    });
  }

  /** How much work the requests are for a master, see `Request.size`. */
  get size(): number {
    this.#size ??= this.requests.reduce((sum, { size }) => sum + size, 0);
    return this.#size;
  }

  /** The replies of a batch whose requests the fast path has all served. */
  get served(): readonly unknown[] {
    this.#served ??= this.requests.map(servedReply);
    return this.#served;
  }

  #encode(): string[] {
    const { requests, entries } = this;
    const texts = requests.slice(entries).map(({ text }) => text);
    const others = `[${texts.join()}]`;
    if (entries === 0) return [others];
    const served = entries === requests.length ? requests : requests.slice(0, entries);
    return this.#fastPath?.encode(served, others) ?? [];
  }
}

/** The fast path runs first, so a request that was started after one without an entry must not use it. */
function countEntries(started: readonly AnyRequest[]): number {
  const first = started.findIndex(({ isEntry }) => !isEntry);
  return first === -1 ? started.length : first;
}

function sortEntries(started: readonly AnyRequest[], entries: number): readonly AnyRequest[] {
  if (entries === started.length && isSorted(started)) return started;
  const sorted = started.slice(0, entries).sort(byRank);
  return entries === started.length ? sorted : [...sorted, ...started.slice(entries)];
}

function byRank(a: AnyRequest, b: AnyRequest): number {
  return (a.operation.fast?.rank ?? 0) - (b.operation.fast?.rank ?? 0);
}

/** The usual case: all requests are of one operation. */
function isSorted(requests: readonly AnyRequest[]): boolean {
  for (let i = 1; i < requests.length; i++) {
    if (byRank(requests[i - 1] as AnyRequest, requests[i] as AnyRequest) > 0) return false;
  }
  return true;
}

/** Lengths below this are written once. */
const MOST_LENGTH_LINES = 256;

/** @see https://redis.io/docs/latest/develop/reference/protocol-spec/ */
function writeCall(sha: string, args: readonly string[]): string {
  const head = `*${args.length + 4}\r\n$7\r\nEVALSHA\r\n$${sha.length}\r\n${sha}\r\n$1\r\n0`;
  // Of the final length: an array that grows leaves copies.
  const parts = [head];
  parts.length = 2 * args.length + 2;
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] as string;
    parts[2 * index + 1] = lengthLine(arg.length);
    parts[2 * index + 2] = arg;
  }
  parts[2 * args.length + 1] = "\r\n";
  // One text without the pieces that adding to it would leave.
  const text = parts.join("");
  // Counting the bytes of the whole once shows whether all of it is ASCII, as it nearly always is.
  if (Buffer.byteLength(text) === text.length) return text;
  return `${head}\r\n${args.map(bulk).join("")}`;
}

const lengthLines: string[] = [];

/** The end of one argument, and the length of the next one. */
function lengthLine(length: number): string {
  if (length >= MOST_LENGTH_LINES) return `\r\n$${length}\r\n`;
  return (lengthLines[length] ??= `\r\n$${length}\r\n`);
}

/** A bulk string of the protocol. */
export function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

function servedReply({ operation, args }: AnyRequest): unknown {
  return operation.fast?.served(args);
}

function unknownReply(): NodeError {
  return new NodeError("refused", "an answer that is none of ours");
}

function parseReply({ operation, args }: AnyRequest, raw: unknown): unknown {
  const reply = typeof raw === "string" ? [raw] : raw;
  if (!Array.isArray(reply)) return unknownReply();
  if (reply[0] === FAILED) return toNodeError(String(reply[1]));
  try {
    return operation.parse(reply as unknown[], args);
  } catch (error) {
    return new NodeError("refused", describeConnectionError(error));
  }
}
