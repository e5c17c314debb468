import { TimerHeap } from "../timer-heap.ts";
import type { KeyHolder } from "../lock/acquire-operation.ts";
import type { LockContext } from "../lock/lock-context.ts";
import type { SkippedQueue } from "../lock/wait-list-hooks.ts";
import type { ReservationDecision } from "./decide-reservation.ts";
import { DueKeys } from "./due-keys.ts";
import { HandOver } from "./hand-over.ts";
import { CrowdedKeys } from "./crowded-keys.ts";
import type { Newcomer } from "./join-operation.ts";
import { slotName, slotNames } from "../lock/slots.ts";
import {
  freeIn,
  holderIn,
  isTaken,
  type JoinReplies,
  replacedIn,
  waitingIn,
} from "./join-replies.ts";
import { Joins } from "./joins.ts";
import { KeyWatchers } from "./key-watchers.ts";
import { type QueueAdapter, QueueAdapters } from "./queue-adapter.ts";
import { ReservationMessages } from "./reservation-messages.ts";
import { UnresponsiveQueues } from "./unresponsive-queues.ts";
import {
  AHEAD,
  encodeQueueId,
  formatWaiterRecord,
  isRetry,
  queueIdIn,
  type Waiter,
  type WaitingState,
} from "./waiter.ts";

/** After so many tries a waiter for several keys keeps the reservations it has while it waits for the other keys. */
const PATIENT_TRIES = 3;

/** What the masters know of a waiter that has joined. */
interface Joined {
  /**
   * False when a quorum of masters has seen every key free: no release will serve the wait lists,
   * so the keys must be checked.
   */
  readonly taken: boolean;
  /** The names of the slots to check: of those that a master has seen free, where no key is taken; else none. */
  readonly free: readonly string[];
  /** False when too few masters have answered for some key: the waiter may be in no wait list, and should join again. */
  readonly answered: boolean;
  /** The waiters that the new one replaces, with their keys. */
  readonly replaced: ReturnType<typeof replacedIn>;
  /** What has the only key of a parked waiter, if a quorum names the same. */
  readonly holder: KeyHolder | undefined;
}

/** How a waiter joins. */
interface Joining {
  /** How many holders each key may have. @defaultValue one each */
  readonly limits?: readonly number[] | undefined;
  readonly state: WaitingState;
  /** How often it has tried before. */
  readonly tries: number;
  /** Milliseconds for which a waiter for several keys holds its free ones back. */
  readonly heldBackFor: number;
}

/** All wait lists in which one client has waiters. */
export class WaitLists {
  readonly #context: LockContext;
  readonly #unresponsive: UnresponsiveQueues;
  readonly #adapters = new QueueAdapters();
  readonly #joins: Joins;
  readonly #dueKeys: DueKeys;
  readonly #messages: ReservationMessages;
  readonly #watchers: KeyWatchers;
  readonly #crowded: CrowdedKeys;
  #closed = false;

  constructor(context: LockContext) {
    const timers = new TimerHeap(context.clock);
    this.#context = context;
    this.#unresponsive = new UnresponsiveQueues(context.clock);
    this.#watchers = new KeyWatchers({
      context,
      timers,
      unresponsive: this.#unresponsive,
      adapters: this.#adapters,
    });
    this.#joins = new Joins(context);
    this.#crowded = new CrowdedKeys(context.clock);
    this.#messages = new ReservationMessages(context, {
      reserved: (key, waiter) => this.#watchers.of(key).reserved(waiter),
      missed: (key) => void this.#watchers.of(key).check(),
    });
    this.#dueKeys = new DueKeys(
      context,
      timers,
      this.#messages,
      (key) => void this.#watchers.of(key).check(),
    );
  }

  /** Lets this process wake the waiters of a queue, by one more adapter. */
  open(queueId: string, adapter: QueueAdapter): void {
    this.#adapters.add(queueId, adapter);
  }

  /** Ends {@link open} for one adapter. */
  shut(queueId: string, adapter: QueueAdapter): void {
    if (this.#adapters.remove(queueId, adapter)) this.#dueKeys.leave(encodeQueueId(queueId));
  }

  /** Whether this process can wake the waiters of a queue. */
  isOpen(queueId: string): boolean {
    return this.#adapters.of(encodeQueueId(queueId)) !== undefined;
  }

  /**
   * Takes note that a worker of an open queue takes up jobs: its waiters are not skipped any longer, and this process looks
   * after the keys that they wait for.
   */
  noteServed(queueId: string): void {
    const encoded = encodeQueueId(queueId);
    const ask = this.#unresponsive.readmit(encoded);
    if (!this.#closed && this.#adapters.of(encoded) !== undefined) {
      this.#dueKeys.serve(encoded, { ask });
    }
  }

  /**
   * Joins the wait lists of those keys that are taken, and leaves the wait lists of free keys. A waiter that was there keeps its
   * position. Settles within the node timeout.
   *
   * A waiter for several keys that has tried in vain before keeps the reservations of its free keys, up to the first taken one in
   * sorted order. Without that, two waiters that share keys could keep each other waiting for ever.
   */
  async join(
    waiter: Waiter,
    keys: readonly string[],
    { limits = keys.map(() => 1), state, tries, heldBackFor }: Joining,
  ): Promise<Joined> {
    const record = this.recordOf(waiter, state);
    const live = state === "live";
    const { position, priority, replaceable: replaces } = waiter;
    const newcomer = { position, priority, record, replaces, live };
    const slots = keys.map((key, index) => slotNames(key, limits[index]));
    this.#subscribe(slots.flat());
    const { replies, index: nth, isLatest } = await this.#joins.join(keys, limits, newcomer);
    const states = keys.map((_, index) => this.#stateOf(replies, index, newcomer));
    const firstTaken = states.findIndex((state) => state !== "free");
    // @protection a job with several keys reserves them after some tries
    const isPatient = tries >= PATIENT_TRIES;
    for (const [index, key] of keys.entries()) {
      // Also where all are free: another client may take one before any waiter is woken.
      const own = slots[index] ?? [];
      if (!live) this.#crowded.note(key, waitingIn(replies, index));
      if (states[index] !== "free" || firstTaken === -1) {
        for (const slot of own) this.#watchers.find(slot)?.stopHoldingBack(position);
      } else if (isPatient && index < firstTaken) {
        const heldBack = { position, record: this.recordOf(waiter, state, own.length) };
        const [slot = 0] = freeIn(replies, index, position);
        this.#watchers.of(slotName(key, slot)).holdBack(heldBack, heldBackFor);
      } else void this.leave(waiter, [key]);
    }
    const free = keys.flatMap((key, index) =>
      firstTaken === -1 ? freeIn(replies, index, position).map((slot) => slotName(key, slot)) : [],
    );
    return {
      // @protection a key without a quorum that saw it taken is checked
      taken: states.some((state) => state !== "free"),
      free,
      answered: states.every((state) => state !== "unknown"),
      replaced: isLatest ? replacedIn(replies, keys) : [],
      holder: keys.length === 1 ? holderIn(replies, nth, this.#context.masters.quorum) : undefined,
    };
  }

  /** Whether a fresh job does better to {@link joinCrowd} than to ask for the key. */
  isCrowded(key: string): boolean {
    return this.#crowded.has(key);
  }

  /**
   * Joins the wait list of a key as if the job were parked, which it has to be within a second. The masters answer as to an
   * attempt to acquire the key, and jobs that come together travel together.
   * @returns what has the key; `undefined` when the job has to ask for it: it may be free.
   */
  async joinCrowd(
    waiter: Waiter,
    key: string,
    limits: readonly number[] | undefined,
  ): Promise<KeyHolder | undefined> {
    const joined = this.#crowded.begin(key);
    const how = { limits, state: "parked", tries: 0, heldBackFor: 0 } as const;
    const { taken, answered, holder } = await this.join(
      { ...waiter, joinNumber: AHEAD },
      [key],
      how,
    );
    joined();
    return taken && answered ? holder : undefined;
  }

  /** Reserves keys or slots that seem to be free for their first waiters, and wakes those. */
  async check(keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map((key) => this.#watchers.of(key).check()));
  }

  /** As {@link check}, for one key. @returns what the masters decided. */
  async checkKey(key: string): Promise<ReservationDecision> {
    return await this.#watchers.of(key).check();
  }

  /** Ends that a free key is kept for a job that runs again, for the other waiters. @returns whether it was kept. */
  async endRetry(key: string): Promise<boolean> {
    const watcher = this.#watchers.of(key);
    const decision = await watcher.check();
    if (decision.kind !== "reserved" || !isRetry(decision)) return false;
    await watcher.check({ gone: [decision] });
    return true;
  }

  /** Leaves the wait lists of the keys; a reservation passes to the next waiter. */
  async leave(
    { position, run }: Pick<Waiter, "position" | "run">,
    keys: readonly string[],
  ): Promise<void> {
    const gone = [{ position, record: String(run) }];
    await Promise.all(keys.map((key) => this.#watchers.of(key).check({ gone })));
  }

  /** Wakes waiters that are replaced, so that they can end. */
  async dismiss(replaced: Joined["replaced"]): Promise<void> {
    await Promise.all(
      replaced.map(
        async ({ waiter }) => await this.#adapters.of(queueIdIn(waiter.position))?.wake(waiter),
      ),
    );
  }

  /** Calls `wake` when one of the keys is reserved for `position`, until the returned function is called. */
  onReservation(
    position: string,
    keys: readonly string[],
    limits: readonly number[] | undefined,
    wake: () => void,
  ): () => void {
    const slots = keys.flatMap((key, index) => slotNames(key, limits?.[index]));
    this.#subscribe(slots);
    const stops = slots.map((slot) => this.#watchers.of(slot).onReservation(position, wake));
    return () => {
      for (const stop of stops) stop();
    };
  }

  /**
   * Receives what masters answer when the keys are released under `token`, and wakes the next waiters.
   * @param holdFor milliseconds for which the keys stay taken.
   * @param keepsRetry whether the keys stay reserved for the job that releases them.
   */
  handOver(keys: readonly string[], token: number, holdFor: number, keepsRetry: boolean): HandOver {
    const handOver = new HandOver(this.#context, { keys, token, holdFor }, this.#watchers);
    if (holdFor === 0 && !keepsRetry) {
      for (const key of keys) {
        if (this.#watchers.find(key)?.beforeRelease() === true) handOver.isEarly = true;
      }
    }
    return handOver;
  }

  /** The record of a waiter in a wait list. */
  recordOf(
    { replaceable, run, joinNumber }: Pick<Waiter, "replaceable" | "run" | "joinNumber">,
    state: WaitingState,
    limit = 1,
  ): string {
    const { process } = this.#context;
    return formatWaiterRecord({ state, replaceable, run, limit, process }, joinNumber);
  }

  /** The record of a job that has not asked for its key yet: run 0, so that what the job itself writes replaces it. */
  get absenteeRecord(): string {
    return this.recordOf({ replaceable: false, run: 0 }, "arriving");
  }

  /** The queues that are skipped now. */
  get skipped(): readonly SkippedQueue[] {
    return this.#unresponsive.list();
  }

  /** Stops all watching; no waiter is woken any more. */
  close(): void {
    this.#closed = true;
    this.#joins.close();
    this.#dueKeys.close();
    this.#messages.close();
    this.#watchers.close();
  }

  #subscribe(slots: readonly string[]): void {
    if (!this.#closed) this.#messages.subscribe(slots);
  }

  /** Free only if a quorum has answered and no quorum has seen it taken. */
  #stateOf(replies: JoinReplies, index: number, newcomer: Newcomer): "taken" | "free" | "unknown" {
    const { quorum } = this.#context.masters;
    const answers = replies.flatMap((reply) => reply?.[index] ?? []);
    if (answers.filter((reply) => isTaken(reply, newcomer)).length >= quorum) return "taken";
    return answers.length >= quorum ? "free" : "unknown";
  }
}
