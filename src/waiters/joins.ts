import type { LockContext } from "../lock/lock-context.ts";
import { NodeError } from "../redis/node-error.ts";
import { type JoinReply, joinOperation, type Newcomer } from "./join-operation.ts";
import { isTaken, type JoinReplies } from "./join-replies.ts";

/** Most newcomers of one request. */
const MOST = 100;
/** Milliseconds for which jobs that are parked for the same keys are gathered. */
const GATHERING = 2;

/** What a newcomer receives. */
interface JoinAnswer {
  readonly replies: JoinReplies;
  /** Which newcomer of its request it is. */
  readonly index: number;
  /** Whether the newcomer is the latest of its request: it wakes the waiters that are replaced. */
  readonly isLatest: boolean;
}

interface Entry {
  readonly keys: readonly string[];
  /** How many holders each key may have. */
  readonly limits: readonly number[];
  readonly newcomer: Newcomer & { readonly live: boolean };
  readonly resolve: (answer: JoinAnswer) => void;
}

/**
 * The joins of one process. The first job that is parked for a key joins at once; those that follow within a moment travel
 * together. A key that many jobs want has many of them, and the first in order is in the wait list by then.
 */
export class Joins {
  readonly #context: LockContext;
  /** The entries that are gathered, by their keys; empty while there is none yet. */
  readonly #gathered = new Map<string, Entry[]>();

  constructor(context: LockContext) {
    this.#context = context;
  }

  /** Joins; settles when a quorum has seen each key taken, and else when all masters have answered or failed to. */
  join(
    keys: readonly string[],
    limits: readonly number[],
    newcomer: Entry["newcomer"],
  ): Promise<JoinAnswer> {
    return new Promise((resolve) => {
      const entry = { keys, limits, newcomer, resolve };
      if (newcomer.live) return this.#ask([entry]);
      const id = JSON.stringify([keys, limits]);
      const gathered = this.#gathered.get(id);
      if (gathered !== undefined) return void gathered.push(entry);
      this.#ask([entry]);
      this.#gather(id);
    });
  }

  /** Sends what is gathered at once. */
  close(): void {
    for (const id of this.#gathered.keys()) this.#send(id);
  }

  #gather(id: string): void {
    this.#gathered.set(id, []);
    this.#context.clock.timer(GATHERING, () => {
      if (this.#send(id)) this.#gather(id);
    });
  }

  /** Whether there was an entry. */
  #send(id: string): boolean {
    const gathered = this.#gathered.get(id) ?? [];
    this.#gathered.delete(id);
    for (let i = 0; i < gathered.length; i += MOST) this.#ask(gathered.slice(i, i + MOST));
    return gathered.length > 0;
  }

  /** Asks for entries with the same keys. */
  #ask(entries: readonly Entry[]): void {
    const { masters, names, process } = this.#context;
    const { keys = [], limits = [] } = entries[0] ?? {};
    const live = entries[0]?.newcomer.live === true;
    const newcomers = entries.map(({ newcomer }) => newcomer);
    const replies: (readonly JoinReply[] | undefined)[] = masters.ports.map(() => undefined);
    const replacing = newcomers.flatMap(({ replaces, position }) => (replaces ? position : []));
    const latest = replacing.toSorted().at(-1);
    const request = { names, keys, limits, process, live, newcomers };
    masters.gather(joinOperation, request, (node, reply, open) => {
      if (!(reply instanceof NodeError)) replies[node] = reply;
      for (const [index, { newcomer, resolve }] of entries.entries()) {
        const settled = keys.every((_, index) => {
          const taken = replies.filter((reply) => isTaken(reply?.[index], newcomer)).length;
          return taken >= masters.quorum;
        });
        // Any master may name other waiters that it replaces.
        if (open === 0 || (settled && !newcomer.replaces)) {
          resolve({ replies, index, isLatest: newcomer.position === latest });
        }
      }
    });
  }
}
