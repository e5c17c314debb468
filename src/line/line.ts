import type { Timer } from "../clock.ts";
import { Agenda } from "../heartbeat/agenda.ts";
import type { LockContext } from "../lock/context.ts";
import type { JoinReply, Newcomer, Skipped, Waiter } from "../lock/lining.ts";
import { Attendant } from "./attendant.ts";
import { DueKeys } from "./due-keys.ts";
import { HandOver } from "./hand-over.ts";
import type { Home } from "./home.ts";
import { isTaken, Joins } from "./joins.ts";
import { listen, SUBSCRIBING } from "./listen.ts";
import { encodeHome, formatDetail, homeIn, type Standing, type WaitingState } from "./place.ts";
import { Suspects } from "./suspects.ts";

/** After so many tries a waiter for several keys keeps the turns it has while it waits for the others. */
const PATIENT_TRIES = 3;

/** How somebody stands in line after joining. */
export interface Joined {
  /** True when a release, or the end of a turn, will serve the line: a quorum of masters has seen the key taken. */
  readonly quiet: boolean;
  /** False when too few masters have answered for some key: it may be in no line, and should join again. */
  readonly heard: boolean;
  /** Those that the new one replaces, with their keys. */
  readonly replaced: readonly { readonly key: string; readonly waiter: Waiter }[];
}

/** All lines that one client has to do with. */
export class Line {
  readonly #context: LockContext;
  readonly #agenda: Agenda;
  readonly #suspects: Suspects;
  readonly #joins: Joins;
  readonly #dueKeys: DueKeys;
  /** By name; each worker of a queue is one, since each has its own connection to it. */
  readonly #homes = new Map<string, Set<Home>>();
  readonly #attendants = new Map<string, Attendant>();
  #unsubscribe: (() => void) | undefined;
  /** Runs until the subscription is in force. */
  #subscribing: Timer | undefined;
  /** The keys that this process waited for before its subscription was in force. */
  #early: Set<string> | undefined = new Set();
  #closed = false;

  constructor(context: LockContext) {
    this.#context = context;
    this.#agenda = new Agenda(context.clock);
    this.#suspects = new Suspects(context.clock);
    this.#joins = new Joins(context);
    this.#dueKeys = new DueKeys(context, this.#agenda, (key) => void this.#attendant(key).look());
  }

  /** From now on this process can call the waiters of a home in one more way. */
  open(name: string, home: Home): void {
    const homes = this.#homes.get(encodeHome(name)) ?? new Set();
    this.#homes.set(encodeHome(name), homes.add(home));
  }

  /** This process cannot call the waiters of a home in that way any longer. */
  shut(name: string, home: Home): void {
    const homes = this.#homes.get(encodeHome(name));
    if (homes?.delete(home) !== true || homes.size > 0) return;
    this.#homes.delete(encodeHome(name));
    this.#dueKeys.leave(encodeHome(name));
  }

  /** Whether this process can call the waiters of a home. */
  isOpen(name: string): boolean {
    return this.#homes.has(encodeHome(name));
  }

  /**
   * Takes note that a worker of an open home takes up jobs: its waiters are passed over no longer, and this process looks
   * after the keys that they wait for.
   */
  isServed(name: string): void {
    const home = encodeHome(name);
    const ask = this.#suspects.trust(home);
    if (!this.#closed && this.#homes.has(home)) this.#dueKeys.serve(home, { ask });
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
    standing: Standing,
    keys: readonly string[],
    { state, tries, keptFor }: { state: WaitingState; tries: number; keptFor: number },
  ): Promise<Joined> {
    const detail = this.detailOf(standing, state);
    const living = state === "living";
    const { place, priority, replaceable: replaces } = standing;
    const newcomer = { place, priority, detail, replaces, living };
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
      if (states[index] !== "free" || firstTaken === -1) this.#attendants.get(key)?.parked(place);
      else if (tries >= PATIENT_TRIES && index < firstTaken) {
        this.#attendant(key).reserve({ place, detail }, keptFor);
      } else void this.leave(standing, [key]);
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
    await Promise.all(keys.map((key) => this.#attendant(key).look()));
  }

  /** Leaves the lines of the keys; a turn passes to the next. */
  async leave({ place }: Pick<Standing, "place">, keys: readonly string[]): Promise<void> {
    const gone = [{ place, detail: "" }];
    await Promise.all(keys.map((key) => this.#attendant(key).look({ gone })));
  }

  /** Calls waiters that somebody replaces, so that they can end. */
  async dismiss(replaced: Joined["replaced"]): Promise<void> {
    await Promise.all(
      replaced.map(async ({ waiter }) => await this.#homeOf(homeIn(waiter.place))?.call(waiter)),
    );
  }

  /** Calls `wake` when it is the turn of `place` at one of the keys, until the returned function is called. */
  await(place: string, keys: readonly string[], wake: () => void): () => void {
    this.#listen(keys);
    const stops = keys.map((key) => this.#attendant(key).await(place, wake));
    return () => {
      for (const stop of stops) stop();
    };
  }

  /**
   * Hears what masters say when the keys are given back under `token`, and calls the next in line.
   * @param linger milliseconds for which the keys stay taken.
   */
  handOver(keys: readonly string[], token: number, linger: number): HandOver {
    if (linger === 0 && this.#attendants.size > 0) {
      for (const key of keys) this.#attendants.get(key)?.foresee();
    }
    return new HandOver(this.#context, { keys, token, linger }, this.#attendantOf);
  }

  /** How somebody is noted in a line. */
  detailOf(
    { replaceable, run, entry }: Pick<Standing, "replaceable" | "run" | "entry">,
    state: WaitingState,
  ): string {
    return formatDetail({ state, replaceable, run, process: this.#context.process }, entry);
  }

  /** How one is noted that has not asked for its key yet: whatever it says itself counts more. */
  get absenteeDetail(): string {
    return this.detailOf({ replaceable: false, run: 0 }, "arriving");
  }

  /** The homes to pass over now. */
  get skipped(): readonly Skipped[] {
    return this.#suspects.list();
  }

  /** Ends all attention; nobody is called any more. */
  close(): void {
    this.#closed = true;
    this.#joins.close();
    this.#dueKeys.close();
    this.#unsubscribe?.();
    this.#context.clock.clearTimer(this.#subscribing);
    for (const attendant of this.#attendants.values()) attendant.end();
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
      for (const key of early) void this.#attendant(key).look();
    });
    return listen(this.#context, (key, waiter) => this.#attendant(key).told(waiter));
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

  #homeOf(encoded: string): Home | undefined {
    return this.#homes.get(encoded)?.values().next().value;
  }

  readonly #attendantOf = (key: string): Attendant => this.#attendant(key);

  #attendant(key: string): Attendant {
    let attendant = this.#attendants.get(key);
    if (attendant === undefined) {
      attendant = new Attendant(key, {
        context: this.#context,
        agenda: this.#agenda,
        suspects: this.#suspects,
        home: (name) => this.#homeOf(name),
        ended: (ended) => {
          if (this.#attendants.get(key) === ended) this.#attendants.delete(key);
        },
      });
      this.#attendants.set(key, attendant);
      // Whoever asks now gets an answer, and leaves nothing behind.
      if (this.#closed) attendant.end();
    }
    return attendant;
  }
}

function distinct(replaced: Joined["replaced"]): Joined["replaced"] {
  return [...new Map(replaced.map((entry) => [entry.waiter.place, entry])).values()];
}
