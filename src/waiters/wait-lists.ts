import type { Timer } from "../clock.ts";
import { TimerHeap } from "../timer-heap.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { JoinReply, Newcomer } from "./join-operation.ts";
import type { SkippedQueue, StoredWaiter } from "../lock/wait-list-hooks.ts";
import { KeyWatcher } from "./key-watcher.ts";
import { DueKeys } from "./due-keys.ts";
import { HandOver } from "./hand-over.ts";
import type { QueueAdapter } from "./queue-adapter.ts";
import { isTaken, Joins } from "./joins.ts";
import { listen, SUBSCRIBING } from "./listen.ts";
import {
  encodeQueueId,
  formatWaiterRecord,
  queueIdIn,
  type Waiter,
  type WaitingState,
} from "./waiter.ts";
import { UnresponsiveQueues } from "./unresponsive-queues.ts";

/** After so many tries a waiter for several keys keeps the turns it has while it waits for the others. */
const PATIENT_TRIES = 3;

/** How somebody stands in line after joining. */
export interface Joined {
  /** True when a release, or the end of a turn, will serve the line: a quorum of masters has seen the key taken. */
  readonly quiet: boolean;
  /** False when too few masters have answered for some key: it may be in no line, and should join again. */
  readonly heard: boolean;
  /** Those that the new one replaces, with their keys. */
  readonly replaced: readonly { readonly key: string; readonly waiter: StoredWaiter }[];
}

/** All lines that one client has to do with. */
export class WaitLists {
  readonly #context: LockContext;
  readonly #timers: TimerHeap;
  readonly #unresponsive: UnresponsiveQueues;
  readonly #joins: Joins;
  readonly #dueKeys: DueKeys;
  /** By name; each worker of a queue is one, since each has its own connection to it. */
  readonly #adapters = new Map<string, Set<QueueAdapter>>();
  readonly #watchers = new Map<string, KeyWatcher>();
  #unsubscribe: (() => void) | undefined;
  /** Runs until the subscription is in force. */
  #subscribing: Timer | undefined;
  /** The keys that this process waited for before its subscription was in force. */
  #early: Set<string> | undefined = new Set();
  #closed = false;

  constructor(context: LockContext) {
    this.#context = context;
    this.#timers = new TimerHeap(context.clock);
    this.#unresponsive = new UnresponsiveQueues(context.clock);
    this.#joins = new Joins(context);
    this.#dueKeys = new DueKeys(context, this.#timers, (key) => void this.#watcher(key).look());
  }

  /** From now on this process can call the waiters of a home in one more way. */
  open(queueId: string, adapter: QueueAdapter): void {
    const adapters = this.#adapters.get(encodeQueueId(queueId)) ?? new Set();
    this.#adapters.set(encodeQueueId(queueId), adapters.add(adapter));
  }

  /** This process cannot call the waiters of a home in that way any longer. */
  shut(queueId: string, adapter: QueueAdapter): void {
    const adapters = this.#adapters.get(encodeQueueId(queueId));
    if (adapters?.delete(adapter) !== true || adapters.size > 0) return;
    this.#adapters.delete(encodeQueueId(queueId));
    this.#dueKeys.leave(encodeQueueId(queueId));
  }

  /** Whether this process can call the waiters of a home. */
  isOpen(name: string): boolean {
    return this.#adapters.has(encodeQueueId(name));
  }

  /**
   * Takes note that a worker of an open home takes up jobs: its waiters are passed over no longer, and this process looks
   * after the keys that they wait for.
   */
  isServed(name: string): void {
    const queueId = encodeQueueId(name);
    const ask = this.#unresponsive.trust(queueId);
    if (!this.#closed && this.#adapters.has(queueId)) this.#dueKeys.serve(queueId, { ask });
  }

  /**
   * Joins the lines of those of the keys that are taken; one that was in line keeps its place, and leaves the lines of free
   * keys. Settles within the node timeout.
   *
   * A waiter for several keys that has tried in vain before keeps the turns of its free keys, up to the first taken one in
   * sorted order: else two that share keys could keep each other waiting for ever.
   * @param keptFor milliseconds for which such turns are kept.
   */
  async join(
    waiter: Waiter,
    keys: readonly string[],
    { state, tries, keptFor }: { state: WaitingState; tries: number; keptFor: number },
  ): Promise<Joined> {
    const record = this.detailOf(waiter, state);
    const live = state === "living";
    const { position, priority, replaceable: replaces } = waiter;
    const newcomer = { position, priority, record, replaces, live };
    this.#listen(keys);
    const { replies, calls } = await this.#joins.join(keys, newcomer);
    const states = keys.map((_, index) =>
      this.#stateOf(
        replies.map((reply) => reply?.[index]),
        newcomer,
      ),
    );
    const firstTaken = states.findIndex((state) => state !== "free");
    for (const [index, key] of keys.entries()) {
      // Also where all are free: somebody may take one before anybody is called.
      if (states[index] !== "free" || firstTaken === -1) this.#watchers.get(key)?.parked(position);
      else if (tries >= PATIENT_TRIES && index < firstTaken) {
        this.#watcher(key).reserve({ position, record }, keptFor);
      } else void this.leave(waiter, [key]);
    }
    const replaced = (calls ? replies : []).flatMap((reply) =>
      (reply ?? []).flatMap((joined, index) =>
        joined.replaced.map((waiter) => ({ key: keys[index] ?? "", waiter })),
      ),
    );
    return {
      quiet: states.some((state) => state !== "free"),
      heard: states.every((state) => state !== "unknown"),
      replaced: distinct(replaced),
    };
  }

  /** Tells whose turn it is at keys that seem to be free, and calls who must be called. */
  async look(keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map((key) => this.#watcher(key).look()));
  }

  /** Leaves the lines of the keys; a turn passes to the next. */
  async leave({ position }: Pick<Waiter, "position">, keys: readonly string[]): Promise<void> {
    const gone = [{ position, record: "" }];
    await Promise.all(keys.map((key) => this.#watcher(key).look({ gone })));
  }

  /** Calls waiters that somebody replaces, so that they can end. */
  async dismiss(replaced: Joined["replaced"]): Promise<void> {
    await Promise.all(
      replaced.map(
        async ({ waiter }) => await this.#adapterOf(queueIdIn(waiter.position))?.call(waiter),
      ),
    );
  }

  /** Calls `wake` when it is the turn of `position` at one of the keys, until the returned function is called. */
  await(position: string, keys: readonly string[], wake: () => void): () => void {
    this.#listen(keys);
    const stops = keys.map((key) => this.#watcher(key).await(position, wake));
    return () => {
      for (const stop of stops) stop();
    };
  }

  /**
   * Hears what masters say when the keys are given back under `token`, and calls the next in line.
   * @param linger milliseconds for which the keys stay taken.
   */
  handOver(keys: readonly string[], token: number, holdFor: number): HandOver {
    if (holdFor === 0 && this.#watchers.size > 0) {
      for (const key of keys) this.#watchers.get(key)?.foresee();
    }
    return new HandOver(this.#context, { keys, token, holdFor }, this.#attendantOf);
  }

  /** How somebody is noted in a line. */
  detailOf(
    { replaceable, run, entry }: Pick<Waiter, "replaceable" | "run" | "entry">,
    state: WaitingState,
  ): string {
    return formatWaiterRecord({ state, replaceable, run, process: this.#context.process }, entry);
  }

  /** How one is noted that has not asked for its key yet: whatever it says itself counts more. */
  get absenteeDetail(): string {
    return this.detailOf({ replaceable: false, run: 0 }, "arriving");
  }

  /** The homes to pass over now. */
  get skipped(): readonly SkippedQueue[] {
    return this.#unresponsive.list();
  }

  /** Ends all attention; nobody is called any more. */
  close(): void {
    this.#closed = true;
    this.#joins.close();
    this.#dueKeys.close();
    this.#unsubscribe?.();
    this.#context.clock.clearTimer(this.#subscribing);
    for (const watcher of this.#watchers.values()) watcher.end();
  }

  /** Hears of turns from now on; until the subscription is in force, keys are looked at once instead. */
  #listen(keys: readonly string[]): void {
    if (this.#closed) return;
    for (const key of keys) this.#early?.add(key);
    this.#unsubscribe ??= this.#subscribe();
  }

  #subscribe(): () => void {
    this.#subscribing = this.#context.clock.timer(SUBSCRIBING, () => {
      const early = this.#early ?? [];
      this.#early = undefined;
      for (const key of early) void this.#watcher(key).look();
    });
    return listen(this.#context, (key, waiter) => this.#watcher(key).told(waiter));
  }

  /** Free only if a quorum has answered and no quorum has seen it taken. */
  #stateOf(
    replies: readonly (JoinReply | undefined)[],
    newcomer: Newcomer,
  ): "taken" | "free" | "unknown" {
    const { quorum } = this.#context.masters;
    const answers = replies.filter((reply) => reply !== undefined);
    if (answers.filter((reply) => isTaken(reply, newcomer)).length >= quorum) return "taken";
    return answers.length >= quorum ? "free" : "unknown";
  }

  #adapterOf(encoded: string): QueueAdapter | undefined {
    return this.#adapters.get(encoded)?.values().next().value;
  }

  readonly #attendantOf = (key: string): KeyWatcher => this.#watcher(key);

  #watcher(key: string): KeyWatcher {
    let watcher = this.#watchers.get(key);
    if (watcher === undefined) {
      watcher = new KeyWatcher(key, {
        context: this.#context,
        timers: this.#timers,
        unresponsive: this.#unresponsive,
        adapterOf: (queueId) => this.#adapterOf(queueId),
        ended: (ended) => {
          if (this.#watchers.get(key) === ended) this.#watchers.delete(key);
        },
      });
      this.#watchers.set(key, watcher);
      // Whoever asks now gets an answer, and leaves nothing behind.
      if (this.#closed) watcher.end();
    }
    return watcher;
  }
}

function distinct(replaced: Joined["replaced"]): Joined["replaced"] {
  return [...new Map(replaced.map((entry) => [entry.waiter.position, entry])).values()];
}
