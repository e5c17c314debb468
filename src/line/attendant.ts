import type { Agenda, Appointment } from "../heartbeat/agenda.ts";
import type { LockContext } from "../lock/context.ts";
import { LINE_RETENTION, TURN } from "../lock/line-script.ts";
import type { Serving, TurnReply, Waiter } from "../lock/lining.ts";
import { Calls, turnOf } from "./calls.ts";
import type { TurnDecision } from "./decide-turn.ts";
import type { Home } from "./home.ts";
import { listen, SUBSCRIBING } from "./listen.ts";
import { parseDetail } from "./place.ts";
import { askMasters, type Question, Round } from "./round.ts";
import type { Suspects } from "./suspects.ts";
import { LOOK_INTERVAL, Turns } from "./turns.ts";

/** Milliseconds after the end of a lock or a turn, by the masters' word, at which an attendant looks. */
const SLACK = 30;
/** Milliseconds that a process lets pass before it calls a job that another process has parked. */
const SHORTEST_DEFERENCE = 20;
const LONGEST_DEFERENCE = 80;

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
  readonly #turns: Turns;
  #joinedAt = -Infinity;
  #expectsUntil = -Infinity;
  /** Whether somebody waits, and nobody could be called. */
  #passedOver = false;
  #unsubscribe: (() => void) | undefined;
  #ended = false;

  constructor(key: string, parts: AttendantParts) {
    this.key = key;
    this.#parts = parts;
    const { clock } = parts.context;
    this.#calls = new Calls(clock, (name) => parts.home(name));
    this.#turns = new Turns({ line: this, clock, calls: this.#calls, suspects: parts.suspects });
    parts.agenda.add(this);
  }

  /** Somebody waits in this process until the returned function is called; `wake` is called when it is its turn. */
  await(place: string, wake: () => void): () => void {
    this.#calls.living.set(place, wake);
    this.#attend();
    this.lookBy(this.#nextLook());
    return () => this.#calls.living.delete(place);
  }

  /** This process has parked the job of that place; what is in its way ends after `expiresIn` ms if nothing is extended. */
  parked(place: string, expiresIn: number): void {
    this.#turns.unreserve(place);
    this.#attend();
    this.lookBy(this.#now() + Math.max(0, expiresIn) + SLACK);
  }

  /** What this process keeps taken ends after `ms`: it looks then. */
  expectEnd(ms: number): void {
    this.#expectsUntil = this.#now() + ms + LOOK_INTERVAL;
    this.lookBy(this.#now() + ms + SLACK);
  }

  /** Looks at once if waiters were passed over: one of their homes can be trusted again. */
  reconsider(): void {
    if (this.#passedOver) this.lookBy(this.#now());
  }

  /** The key is about to be given back, in this very tick. */
  foresee(): void {
    this.#turns.foresee();
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
      this.lookBy(this.#now() + LOOK_INTERVAL);
    }
    if (decision.kind === "turn") await this.#turns.confirm(decision);
    await round.calling;
  }

  /** Keeps the free key for `life` ms for one of ours that waits for other keys yet, as long as it is there. */
  reserve(waiter: Omit<Waiter, "priority">, life: number): void {
    this.#turns.reserve(waiter.place, life);
    this.expectEnd(life);
    this.lookBy(this.#now() + LOOK_INTERVAL);
    void this.keepFor(waiter, life, false);
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

  /** Looks at that time, if not before. */
  lookBy(at: number): void {
    if (this.#ended || at >= this.due) return;
    this.due = at;
    this.#parts.agenda.update(this);
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
    if (decision.kind === "head") this.#turns.give(round, decision);
  }

  #planNextLook(decision: TurnDecision, { askedAt }: Round, complete: boolean): void {
    const now = this.#now();
    if (decision.kind === "unknown") return;
    this.#passedOver = decision.kind === "nobody" && decision.waiting > 0;
    // Who only gave a turn sees to it that it is used.
    if (complete && !this.#isInterested && !this.#isOurs(decision)) return this.end();
    switch (decision.kind) {
      case "held":
        if (decision.waiting > 0) this.lookBy(now + Math.max(decision.expiresIn, 0) + SLACK);
        break;
      case "turn":
        this.lookBy(now + Math.max(decision.expiresIn, 0) + SLACK);
        break;
      case "head":
        this.lookBy(now + turnOf(decision.head) + SLACK);
        break;
      case "nobody":
        // All were passed over: their homes are tried again in time.
        if (this.#passedOver) this.lookBy(this.#nextTrial() + SLACK);
        break;
      default:
        decision satisfies never;
    }
    if (this.#calls.living.size > 0) this.lookBy(this.#nextLook());
    else if (decision.waiting === 0 && askedAt > this.#joinedAt) {
      // A single master can be the only one that remembers a line.
      if (complete) this.end();
      else this.lookBy(now + LOOK_INTERVAL);
    }
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
      this.lookBy(this.#now() + TURN + SLACK);
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
    this.lookBy(this.#now() + SUBSCRIBING);
  }

  /** A home that was passed over in an answer may be trusted again by now. */
  #nextTrial(): number {
    const { nextTrial } = this.#parts.suspects;
    return nextTrial === Infinity ? this.#now() : nextTrial;
  }

  /** On a grid, so that the looks of all keys travel together. */
  #nextLook(): number {
    return (Math.floor(this.#now() / LOOK_INTERVAL) + 1) * LOOK_INTERVAL;
  }

  #now(): number {
    return this.#parts.context.clock.now();
  }
}
