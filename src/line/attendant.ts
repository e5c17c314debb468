import type { Agenda, Appointment } from "../heartbeat/agenda.ts";
import type { LockContext } from "../lock/context.ts";
import { LINE_RETENTION, TURN } from "../lock/line-script.ts";
import type { Serving, TurnReply, Waiter } from "../lock/lining.ts";
import { Calls, turnOf } from "./calls.ts";
import type { TurnDecision } from "./decide-turn.ts";
import type { Fate, Home } from "./home.ts";
import { listen } from "./listen.ts";
import { homeIn, isArriving, parseDetail } from "./place.ts";
import { askMasters, type Question, Round } from "./round.ts";
import type { Suspects } from "./suspects.ts";

/** Milliseconds after the end of a lock or a turn, by the masters' word, at which an attendant looks. */
const SLACK = 30;
/** Milliseconds between two looks while somebody waits in this process, or while masters are silent. */
const LOOK_INTERVAL = 1_000;
/** Milliseconds after which a subscription is in force: what was said before it was is looked up. */
const SUBSCRIBING = 100;
/** Milliseconds that a process lets pass before it calls a job that another process has parked. */
const SHORTEST_DEFERENCE = 20;
const LONGEST_DEFERENCE = 80;

/** A detail that no waiter has: takes the turn from a place that is in no line, and nothing else. */
const IN_NO_LINE = "?";

/** The turn is given to whoever is first. */
const NOBODY = { give: "", detail: "", calls: true };

/** What an {@link Attendant} works with. */
export interface AttendantParts {
  readonly context: LockContext;
  readonly agenda: Agenda;
  readonly suspects: Suspects;
  /** The home of that name, if this process can call its waiters. */
  home(name: string): Home | undefined;
  /** Nobody here has an interest in the key any more. */
  ended(attendant: Attendant): void;
}

/** Sees to it that the line of one key moves on, as long as this process has an interest in it. */
export class Attendant implements Appointment {
  readonly key: string;
  due = Infinity;
  readonly #parts: AttendantParts;
  readonly #calls: Calls;
  #joinedAt = -Infinity;
  #expectsUntil = -Infinity;
  /** Who came after the last one that got the turn. */
  #heir: Waiter | undefined;
  /** Whom the line was to go on from last, and when. */
  #left: { readonly place: string; readonly at: number } | undefined;
  /** Whether somebody waits, and nobody could be called. */
  #passedOver = false;
  #unsubscribe: (() => void) | undefined;
  #ended = false;

  constructor(key: string, parts: AttendantParts) {
    this.key = key;
    this.#parts = parts;
    this.#calls = new Calls(parts.context.clock, (name) => parts.home(name));
    parts.agenda.add(this);
  }

  /** Somebody waits in this process until the returned function is called; `wake` is called when it is its turn. */
  await(place: string, wake: () => void): () => void {
    this.#calls.living.set(place, wake);
    this.#attend();
    this.#lookBy(this.#nextLook());
    return () => this.#calls.living.delete(place);
  }

  /** This process has parked a job; what is in its way ends after `expiresIn` ms if nothing is extended. */
  parked(expiresIn: number): void {
    this.#attend();
    this.#lookBy(this.#now() + Math.max(0, expiresIn) + SLACK);
  }

  /** What this process keeps taken ends after `ms`: it looks then. */
  expectEnd(ms: number): void {
    this.#expectsUntil = this.#now() + ms + LOOK_INTERVAL;
    this.#lookBy(this.#now() + ms + SLACK);
  }

  /** Looks at once if waiters were passed over: one of their homes can be trusted again. */
  reconsider(): void {
    if (this.#passedOver) this.#lookBy(this.#now());
  }

  /** The key is about to be given back, in this very tick. */
  foresee(): void {
    const heir = this.#heir;
    this.#heir = undefined;
    if (heir === undefined) return;
    const wake = this.#calls.living.get(heir.place);
    // The request of one that waits in this process travels right behind the release, which gives it the turn.
    if (wake === undefined) this.#calls.expect(heir);
    else wake();
  }

  /** Takes note of what a master said when the key was given back under `token`. */
  handOver(token: number, askedAt: number): (node: number, reply: TurnReply) => Promise<void> {
    const round = new Round(this.#parts.context, { token, askedAt });
    return (node, reply) => {
      round.replies[node] = reply;
      this.#consider(round);
      return round.calling;
    };
  }

  /** Asks the masters whose turn it is, takes out those who are gone, and calls who must be called. */
  async look({ gone = [] }: { gone?: Serving["gone"] } = {}): Promise<void> {
    const round = new Round(this.#parts.context);
    this.due = Infinity;
    await this.#ask(round, { gone, ...NOBODY, life: TURN });
    const { decision } = round;
    if (decision.kind === "unknown") {
      if (!this.#isInterested) return this.end();
      this.#lookBy(this.#now() + LOOK_INTERVAL);
    }
    if (decision.kind === "turn") await this.#confirm(decision);
    await round.calling;
  }

  /** Keeps the free key for `place`, for `life` ms; with `calls`, whoever can call it does so. */
  async keepFor(
    { place, detail }: Omit<Waiter, "priority">,
    life: number,
    calls: boolean,
  ): Promise<void> {
    const round = new Round(this.#parts.context);
    await this.#ask(round, { gone: [], give: place, detail, calls, life });
  }

  /** {@link Appointment} */
  keep(): void {
    void this.look();
  }

  /** Ends all attention at once. Idempotent. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parts.agenda.remove(this);
    this.#unsubscribe?.();
    this.#parts.ended(this);
  }

  async #ask(round: Round, question: Question): Promise<void> {
    const { context, suspects } = this.#parts;
    const living = this.#calls.living.size > 0;
    const serving = { ...question, living, skipped: suspects.list() };
    await askMasters(context, this.key, round, serving, (complete) => {
      // Whoever was given a turn needs no call: it is the caller's own, or is on its way.
      if (question.give === "") this.#consider(round, complete);
    });
  }

  /** @param complete whether no further master will answer. */
  #consider(round: Round, complete = round.isComplete): void {
    if (this.#ended) return;
    const { decision } = round;
    this.#planNextLook(decision, round, complete);
    if (decision.kind === "turn") this.#calls.living.get(decision.place)?.();
    if (decision.kind !== "head") return;
    const { head, dissent } = decision;
    if (round.chosen === undefined) {
      round.chosen = head;
      this.#heir = decision.next[0];
      round.calling = new Promise((resolve) => {
        void this.#serve(round, decision, resolve).then(resolve);
      });
    }
    // Once for each late voice: the masters then agree.
    // One that arrives may have the key already, and be gone again: for it nobody's turn is changed.
    const spreads = !round.gone && !isArriving(round.chosen);
    if (spreads && (dissent || round.chosen.place !== head.place)) {
      void this.keepFor(round.chosen, turnOf(round.chosen), true);
    }
  }

  #planNextLook(decision: TurnDecision, { askedAt }: Round, complete: boolean): void {
    const now = this.#now();
    if (decision.kind === "unknown") return;
    this.#passedOver = decision.kind === "nobody" && decision.waiting > 0;
    // Who only gave a turn sees to it that it is used.
    if (complete && !this.#isInterested && !this.#isOurs(decision)) return this.end();
    switch (decision.kind) {
      case "held":
        if (decision.waiting > 0) this.#lookBy(now + Math.max(decision.expiresIn, 0) + SLACK);
        break;
      case "turn":
        this.#lookBy(now + Math.max(decision.expiresIn, 0) + SLACK);
        break;
      case "head":
        this.#lookBy(now + turnOf(decision.head) + SLACK);
        break;
      case "nobody":
        // All were passed over: their homes are tried again in time.
        if (this.#passedOver) this.#lookBy(this.#nextTrial() + SLACK);
        break;
      default:
        decision satisfies never;
    }
    if (this.#calls.living.size > 0) this.#lookBy(this.#nextLook());
    else if (decision.waiting === 0 && askedAt > this.#joinedAt) {
      // A single master can be the only one that remembers a line.
      if (complete) this.end();
      else this.#lookBy(now + LOOK_INTERVAL);
    }
  }

  /**
   * Sees to it that all masters keep the key for the same one, and calls it if it is of a home of ours: it may have been
   * called before it was parked, or its call was not heard.
   */
  async #confirm({
    place,
    detail,
    dissent,
    expiresIn,
  }: TurnDecision & { kind: "turn" }): Promise<void> {
    // Nobody can be waiting there: it left, and a turn that was given meanwhile came after it.
    if (detail === "") return await this.look({ gone: [{ place, detail: IN_NO_LINE }] });
    const waiter = { place, detail, priority: 0 };
    // Another process has called it once more.
    if (this.#calls.hasLapsed(waiter)) {
      return await this.#passOver(waiter, await this.#calls.fateOf(waiter));
    }
    if (dissent && !isArriving(waiter)) await this.keepFor(waiter, turnOf(waiter), false);
    if (this.#calls.has(waiter)) return;
    if (!this.#calls.canCall(waiter)) return;
    const givenAt = this.#now() + Math.min(0, expiresIn - turnOf(waiter));
    this.#calls.note(waiter);
    const fate = await this.#calls.call(waiter);
    if (fate === "gone") return await this.look({ gone: [waiter] });
    // It was called when it was given the turn, and is not given another one.
    if (fate !== "called" && this.#calls.has(waiter)) this.#calls.note(waiter, givenAt);
  }

  async #serve(
    round: Round,
    { head, next }: TurnDecision & { kind: "head" },
    onSent: () => void,
  ): Promise<void> {
    const lapsed = this.#calls.hasLapsed(head);
    if (!lapsed) this.#calls.note(head);
    const fate = await (lapsed ? this.#calls.fateOf(head) : this.#calls.call(head, onSent));
    round.gone = fate === "gone" || (lapsed && fate === "taken up");
    if (lapsed) return await this.#passOver(head, fate, next);
    if (round.gone) await this.#dropGone(head, next);
  }

  /** Gives the turn to the next, since this one has not used it. */
  async #passOver(waiter: Waiter, fate: Fate, next: readonly Waiter[] = []): Promise<void> {
    // A job that a worker has taken up could have asked for its key: the worker is dead, and its queue not to blame.
    if (fate === "gone" || fate === "taken up") return await this.#dropGone(waiter, next);
    // Its call was lost; or its process died when it had parked it, and before it said so.
    if (fate === "called" && (await this.#calls.callAgain(waiter)) !== "unknown") return;
    if (this.#isStuckAt(waiter)) return;
    this.#parts.suspects.suspect(homeIn(waiter.place));
    await this.look();
  }

  /** Takes out a waiter that is gone, and those after it that are gone too; the next one gets the turn. */
  async #dropGone(head: Waiter, next: readonly Waiter[]): Promise<void> {
    if (this.#isStuckAt(head)) return;
    const fates = await Promise.all(next.map((waiter) => this.#calls.fateOf(waiter)));
    const firstAlive = fates.findIndex((fate) => fate !== "gone");
    await this.look({ gone: [head, ...next.slice(0, firstAlive === -1 ? undefined : firstAlive)] });
  }

  /** Whether the line was to go on from the waiter just now: masters that cannot do so are not asked without end. */
  #isStuckAt(waiter: Waiter): boolean {
    const now = this.#now();
    if (this.#left?.place === waiter.place && now < this.#left.at + LOOK_INTERVAL) {
      this.#lookBy(now + LOOK_INTERVAL);
      return true;
    }
    this.#left = { place: waiter.place, at: now };
    return false;
  }

  get #isInterested(): boolean {
    const now = this.#now();
    if (this.#calls.living.size > 0 || now < this.#expectsUntil) return true;
    return now < this.#joinedAt + LINE_RETENTION;
  }

  /** Whether this process gives the turn, or has given it. */
  #isOurs(decision: TurnDecision): boolean {
    return decision.kind === "head" || (decision.kind === "turn" && this.#calls.has(decision));
  }

  #told(waiter: Waiter): void {
    // Its own word comes back to whoever gave the turn.
    if (this.#ended || this.#calls.has(waiter)) return;
    const detail = parseDetail(waiter.detail);
    if (this.#calls.living.has(waiter.place)) void this.#calls.call(waiter);
    if (this.#calls.living.has(waiter.place) || !this.#calls.canCall(waiter)) return;
    const { clock, process, random } = this.#parts.context;
    const call = (): void => {
      if (this.#ended) return;
      this.#calls.note(waiter);
      this.#lookBy(this.#now() + TURN + SLACK);
      void this.#calls.call(waiter).then((fate) => {
        if (fate === "gone") void this.look({ gone: [waiter] });
      });
    };
    if (detail?.process === process) return call();
    const spread = LONGEST_DEFERENCE - SHORTEST_DEFERENCE;
    clock.timer(SHORTEST_DEFERENCE + spread * random.fraction(), call);
  }

  #attend(): void {
    if (this.#ended) return;
    this.#joinedAt = this.#now();
    if (this.#unsubscribe !== undefined) return;
    this.#unsubscribe = listen(this.#parts.context, this.key, (waiter) => this.#told(waiter));
    this.#lookBy(this.#now() + SUBSCRIBING);
  }

  /** A home that was passed over in an answer may be trusted again by now. */
  #nextTrial(): number {
    const { nextTrial } = this.#parts.suspects;
    return nextTrial === Infinity ? this.#now() : nextTrial;
  }

  #lookBy(at: number): void {
    if (this.#ended || at >= this.due) return;
    this.due = at;
    this.#parts.agenda.update(this);
  }

  /** On a grid, so that the looks of all keys travel together. */
  #nextLook(): number {
    return (Math.floor(this.#now() / LOOK_INTERVAL) + 1) * LOOK_INTERVAL;
  }

  #now(): number {
    return this.#parts.context.clock.now();
  }
}
