import type { LockContext } from "../lock/lock-context.ts";
import { NodeError } from "../redis/node-error.ts";
import { type JoinReply, joinOperation, type Newcomer } from "./join-operation.ts";

/** Most newcomers of one request. */
const MOST = 100;
/** For how many ms those that are parked for the same keys are gathered. */
const GATHERING = 5;

/** What newcomers hear. */
export interface JoinAnswer {
  /** What each master says about each key, in order; nothing where there was no answer. */
  readonly replies: readonly (readonly JoinReply[] | undefined)[];
  /** Whether those that are replaced are the newcomer's to call: the latest of a request does so for all. */
  readonly calls: boolean;
}

/** Whether somebody else keeps the key from a newcomer. */
export function isTaken(
  reply: JoinReply | undefined,
  { position }: Pick<Newcomer, "position">,
): boolean {
  return reply?.status === "held" || (reply?.status === "reserved" && reply.position !== position);
}

interface Entry {
  readonly keys: readonly string[];
  readonly newcomer: Newcomer & { readonly live: boolean };
  readonly resolve: (answer: JoinAnswer) => void;
}

/**
 * Those of this process who join lines. The first that is parked for a key joins at once, those that follow within a moment
 * travel together: of a key that many jobs want they are many, and who comes first of them is in line already.
 */
export class Joins {
  readonly #context: LockContext;
  /** Those that are gathered, by their keys; also while there is none yet. */
  readonly #gathered = new Map<string, Entry[]>();

  constructor(context: LockContext) {
    this.#context = context;
  }

  /** Joins; settles when a quorum says that each key is taken, and else when all masters have answered or failed to. */
  join(keys: readonly string[], newcomer: Entry["newcomer"]): Promise<JoinAnswer> {
    return new Promise((resolve) => {
      const entry = { keys, newcomer, resolve };
      if (newcomer.live) return this.#ask(entry);
      const id = JSON.stringify(keys);
      const gathered = this.#gathered.get(id);
      if (gathered !== undefined) return void gathered.push(entry);
      this.#ask(entry);
      this.#gather(id);
    });
  }

  /** Nobody is gathered any more: who has come goes at once. */
  close(): void {
    for (const id of this.#gathered.keys()) this.#send(id);
  }

  #gather(id: string): void {
    this.#gathered.set(id, []);
    this.#context.clock.timer(GATHERING, () => {
      if (this.#send(id)) this.#gather(id);
    });
  }

  /** Whether there was anybody. */
  #send(id: string): boolean {
    const gathered = this.#gathered.get(id) ?? [];
    this.#gathered.delete(id);
    for (let i = 0; i < gathered.length; i += MOST) {
      const [first, ...others] = gathered.slice(i, i + MOST);
      if (first !== undefined) this.#ask(first, others);
    }
    return gathered.length > 0;
  }

  /** Asks for one, and for others with the same keys. */
  #ask(first: Entry, others: readonly Entry[] = []): void {
    const { masters, names, process } = this.#context;
    const {
      keys,
      newcomer: { live },
    } = first;
    const entries = [first, ...others];
    const replies: (readonly JoinReply[] | undefined)[] = masters.ports.map(() => undefined);
    const replacing = entries.flatMap(({ newcomer: { replaces, position } }) =>
      replaces ? position : [],
    );
    const latest = replacing.toSorted().at(-1);
    const request = {
      names,
      keys,
      process,
      live,
      newcomers: entries.map(({ newcomer }) => newcomer),
    };
    masters.gather(joinOperation, request, (node, reply, open) => {
      if (!(reply instanceof NodeError)) replies[node] = reply;
      for (const { newcomer, resolve } of entries) {
        const settled = keys.every((_, index) => {
          const taken = replies.filter((reply) => isTaken(reply?.[index], newcomer)).length;
          return taken >= masters.quorum;
        });
        // Any master may know of others that it replaces.
        if (open === 0 || (settled && !newcomer.replaces)) {
          resolve({ replies, calls: newcomer.position === latest });
        }
      }
    });
  }
}
