import type { Clock } from "../../src/clock.ts";
import type { AcquireReply, Claim, ExtendReply, ReadReply } from "../../src/lock/operations.ts";
import { parseStoredLock, RETENTION } from "../../src/lock/stored.ts";
import { type Answer, NodeError, type NodePort } from "../../src/redis/node-port.ts";
import type { Operation } from "../../src/redis/operation.ts";

interface Stored {
  value: string;
  expiresAt: number;
}

type AcquireArgs = Claim & { ttl: number; holder: string };

/** What a lock master does, in virtual time: the twin of the Lua. */
export class SimulatedMaster {
  readonly #clock: Clock;
  #data = new Map<string, Stored>();
  readonly #channels = new Map<string, Set<(message: string) => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Loses everything, as a restart without persistence does. */
  wipe(): void {
    this.#data = new Map();
  }

  get(key: string): string | undefined {
    const stored = this.#data.get(key);
    if (stored === undefined || stored.expiresAt <= this.#clock.now()) return undefined;
    return stored.value;
  }

  set(key: string, value: string, ttl: number): void {
    this.#data.set(key, { value, expiresAt: this.#clock.now() + ttl });
  }

  delete(key: string): void {
    this.#data.delete(key);
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    const listeners = this.#channels.get(channel) ?? new Set();
    this.#channels.set(channel, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  execute<A, R>({ name }: Operation<A, R>, args: A): R {
    const handlers: Record<string, (args: never) => unknown> = {
      acquire: (claim: AcquireArgs) => this.#acquire(claim),
      extend: (claim: Claim & { ttl: number }) => this.#extend(claim),
      release: (claim: Claim & { held: boolean }) => this.#release(claim),
      read: ({ names, key }: { names: Claim["names"]; key: string }) =>
        this.#read(names.lock(key), names.fence(key)),
    };
    const handler = handlers[name];
    if (handler === undefined) throw new Error(`no twin of "${name}"`);
    return handler(args as never) as R;
  }

  #acquire({ names, keys, owner, token, ttl, holder }: AcquireArgs): AcquireReply {
    const fences = keys.map((key) => this.#fence(names.fence(key)));
    const mark = Math.max(...fences.map((fence) => fence.mark));
    let mine = 0;
    const holders = keys.flatMap((key, index) => {
      const current = this.get(names.lock(key));
      if (current === undefined) return [];
      const stored = parseStoredLock(current);
      if (stored.id === owner && stored.token !== undefined) {
        if (stored.token === token) mine += 1;
        return [];
      }
      const closed = fences[index]?.closed ?? 0;
      const confirmed = stored.token !== undefined && closed >= stored.token - 1;
      return [{ key, expiresIn: this.#ttl(names.lock(key)), confirmed, ...stored }];
    });
    if (holders.length > 0) return { status: "busy", mark, holders };
    if (mine === keys.length) return { status: "granted" };
    if (token <= mark) return { status: "stale", mark };
    for (const [index, key] of keys.entries()) {
      this.set(names.fence(key), `${token}:${fences[index]?.closed ?? 0}`, RETENTION);
      this.set(names.lock(key), `${token}:${owner}:${holder}`, ttl);
    }
    return { status: "granted" };
  }

  #extend({ names, keys, owner, token, ttl }: Claim & { ttl: number }): ExtendReply {
    for (const key of keys) {
      const current = this.get(names.lock(key));
      if (current === undefined) return { status: "gone" };
      const stored = parseStoredLock(current);
      if (stored.id !== owner || stored.token !== token) return { status: "taken" };
    }
    for (const key of keys) {
      const name = names.lock(key);
      if (this.#ttl(name) < ttl) this.set(name, this.get(name) ?? "", ttl);
      const { mark, closed } = this.#fence(names.fence(key));
      const fence = `${Math.max(mark, token)}:${Math.max(closed, token - 1)}`;
      this.set(names.fence(key), fence, RETENTION);
    }
    return { status: "extended" };
  }

  #release({ names, keys, owner, token, held }: Claim & { held: boolean }): { deleted: number } {
    let deleted = 0;
    for (const key of keys) {
      const stored = parseStoredLock(this.get(names.lock(key)) ?? "");
      if (stored.id === owner && stored.token !== undefined && stored.token <= token) {
        this.delete(names.lock(key));
        deleted += 1;
        for (const tell of this.#channels.get(names.freed(key)) ?? []) tell(String(token));
      }
      const { mark, closed } = this.#fence(names.fence(key));
      const fence = `${Math.max(mark, token)}:${held ? Math.max(closed, token) : closed}`;
      this.set(names.fence(key), fence, RETENTION);
    }
    return { deleted };
  }

  #read(lock: string, fence: string): ReadReply {
    const current = this.get(lock);
    return {
      holder:
        current === undefined
          ? undefined
          : { ...parseStoredLock(current), expiresIn: this.#ttl(lock) },
      foreignType: undefined,
      mark: this.#fence(fence).mark,
    };
  }

  #fence(key: string): { mark: number; closed: number } {
    const [mark = 0, closed = 0] = (this.get(key) ?? "0:0").split(":").map(Number);
    return { mark, closed };
  }

  #ttl(key: string): number {
    return (this.#data.get(key)?.expiresAt ?? 0) - this.#clock.now();
  }
}

/** How a {@link SimulatedNode} behaves; may be changed at any time. */
export interface Behaviour {
  /** Milliseconds a command travels to the master. */
  there: number;
  /** Milliseconds an answer travels back. */
  back: number;
  /** Commands wait in front of the master, and are executed when it is over: SIGSTOP. */
  frozen: boolean;
  /** Commands fail at once: nobody listens. */
  refused: boolean;
  /** Commands are executed, answers never come. */
  mute: boolean;
}

/** A {@link NodePort} to a simulated master. */
export class SimulatedNode implements NodePort {
  readonly name: string;
  readonly master: SimulatedMaster;
  readonly behaviour: Behaviour = { there: 1, back: 1, frozen: false, refused: false, mute: false };
  /** What was sent, by name and in order. */
  readonly sent: string[] = [];
  server: string;
  readonly #clock: Clock;
  readonly #nodeTimeout: number;
  #stopped: (() => void)[] = [];

  constructor(name: string, clock: Clock, nodeTimeout: number) {
    this.name = name;
    this.server = name;
    this.master = new SimulatedMaster(clock);
    this.#clock = clock;
    this.#nodeTimeout = nodeTimeout;
  }

  /** Ends a freeze: the master executes what has arrived meanwhile, in order. */
  thaw(): void {
    this.behaviour.frozen = false;
    const stopped = this.#stopped;
    this.#stopped = [];
    for (const execute of stopped) execute();
  }

  run<A, R>(
    operation: Operation<A, R>,
    args: A,
    late?: (answer: Answer<R>) => void,
  ): Promise<Answer<R>> {
    const clock = this.#clock;
    const sentAt = clock.now();
    this.sent.push(operation.name);
    if (this.behaviour.refused) return Promise.reject(new NodeError("unreachable", "ECONNREFUSED"));
    return new Promise((resolve, reject) => {
      let inTime = true;
      const deadline = clock.timer(this.#nodeTimeout, () => {
        inTime = false;
        reject(new NodeError("timed out", `no answer within ${this.#nodeTimeout} ms`));
      });
      const execute = (): void => {
        const answer = { reply: this.master.execute(operation, args), sentAt, server: this.server };
        if (this.behaviour.mute) return;
        clock.timer(this.behaviour.back, () => {
          clock.clearTimer(deadline);
          if (inTime) resolve(answer);
          else late?.(answer);
        });
      };
      clock.timer(this.behaviour.there, () => {
        if (this.behaviour.frozen) this.#stopped.push(execute);
        else execute();
      });
    });
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    return this.master.subscribe(channel, (message) => {
      this.#clock.timer(this.behaviour.back, () => listener(message));
    });
  }

  close(): void {}
}
