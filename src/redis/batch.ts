import { describeConnectionError, describeUnfitReply, isForbidden } from "./causes.ts";
import { NodeError } from "./node-error.ts";
import { type AnyRequest, FAILED, type FastPath } from "./operation.ts";

/**
 * Calls that travel together as one script call, to one master or to all of them: the request is written once, and what the
 * fast path serves is parsed once.
 */
export class Batch {
  /** In the order in which a master executes them. */
  readonly calls: readonly AnyRequest[];
  readonly #fastPath: FastPath | undefined;
  /** How many of the calls, from the first on, the fast path takes. */
  readonly entries: number;
  #args: readonly string[] | undefined;
  #written: Buffer | undefined;
  #served: readonly unknown[] | undefined;

  /** @param started the calls in the order in which they were started. */
  constructor(started: readonly AnyRequest[], fastPath?: FastPath) {
    this.#fastPath = fastPath;
    this.entries = fastPath === undefined ? 0 : countEntries(started);
    this.calls = this.entries < 2 ? started : sortEntries(started, this.entries);
  }

  /** The arguments of the script, but for the last one: the run id of the server process. */
  get args(): readonly string[] {
    this.#args ??= this.#encode();
    return this.#args;
  }

  /** {@link args}, as they are written to every master. */
  get written(): Buffer {
    this.#written ??= Buffer.from(this.args.map(bulk).join(""));
    return this.#written;
  }

  /** Whether a call of it has no patience for a first connection: then a quorum is connected without the master. */
  get isPrompt(): boolean {
    return this.calls.some(({ operation }) => operation.prompt);
  }

  /**
   * Reads what a script call has returned.
   * @returns a reply to each call, or why there is none.
   */
  replies(returned: unknown): readonly unknown[] {
    if (returned === 1 && this.entries === this.calls.length) return this.#allServed();
    const [odd, replies] = Array.isArray(returned) ? (returned as unknown[]) : [];
    if (!Array.isArray(odd) || !Array.isArray(replies)) return this.calls.map(notOurs);
    const oddReplies = new Map<number, unknown>();
    for (let at = 0; at < odd.length; at += 2) oddReplies.set(Number(odd[at]) - 1, odd[at + 1]);
    return this.calls.map((call, index) => {
      if (index >= this.entries) return parseReply(call, replies[index - this.entries]);
      return oddReplies.has(index) ? parseReply(call, oddReplies.get(index)) : servedReply(call);
    });
  }

  #encode(): string[] {
    const texts: string[] = [];
    for (let i = this.entries; i < this.calls.length; i++) texts.push(this.calls[i]?.text ?? "");
    const served = this.calls.slice(0, this.entries);
    return [
      `[${texts.join()}]`,
      ...(served.length === 0 ? [] : (this.#fastPath?.encode(served) ?? [])),
    ];
  }

  /** Nearly always, and then the same for all masters. */
  #allServed(): readonly unknown[] {
    this.#served ??= this.calls.map(servedReply);
    return this.#served;
  }
}

/** The fast path comes first, so calls that were started after one that it does not take go the other way too. */
function countEntries(started: readonly AnyRequest[]): number {
  const first = started.findIndex(({ entry }) => entry === undefined);
  return first === -1 ? started.length : first;
}

function sortEntries(started: readonly AnyRequest[], entries: number): readonly AnyRequest[] {
  const sorted = started.slice(0, entries).sort(byRank);
  return entries === started.length ? sorted : [...sorted, ...started.slice(entries)];
}

function byRank(a: AnyRequest, b: AnyRequest): number {
  return (a.entry?.rank ?? 0) - (b.entry?.rank ?? 0);
}

/** A string as the protocol has it. @see https://redis.io/docs/latest/develop/reference/protocol-spec/ */
export function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** An error reply of a server; one by which it says that it is no master any more counts as none. */
export function refusal(message: string): NodeError {
  const unfit = describeUnfitReply(message);
  if (unfit !== undefined) return new NodeError("unreachable", unfit);
  const advice = isForbidden(message)
    ? "; npx bullmq-redlock doctor names what its user lacks"
    : undefined;
  return new NodeError("refused", message, advice);
}

function servedReply({ operation, args }: AnyRequest): unknown {
  return operation.fast?.served(args);
}

function notOurs(): NodeError {
  return new NodeError("refused", "an answer that is none of ours");
}

function parseReply({ operation, args }: AnyRequest, raw: unknown): unknown {
  const reply = typeof raw === "string" ? [raw] : raw;
  if (!Array.isArray(reply)) return notOurs();
  if (reply[0] === FAILED) return refusal(String(reply[1]));
  try {
    return operation.parse(reply as unknown[], args);
  } catch (error) {
    return new NodeError("refused", describeConnectionError(error));
  }
}
