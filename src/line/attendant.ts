import type { Agenda, Appointment } from "../heartbeat/agenda.ts";
import type { LockContext } from "../lock/context.ts";
import { SLACK, TURN } from "../lock/line-script.ts";
import type { Serving, TurnReply, Waiter } from "../lock/lining.ts";
import { Calls, turnOf } from "./calls.ts";
import type { TurnDecision } from "./decide-turn.ts";
import type { Home } from "./home.ts";
import { askMasters, type Question, Round } from "./round.ts";
import type { Suspects } from "./suspects.ts";
import { LOOK_INTERVAL, Turns } from "./turns.ts";

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

/**
 * Sees to it that the line of one key moves on, as long as this process has an interest in it: because somebody waits in it,
 * because it has given a turn, or keeps the key for a while.
 */
export class Attendant implements Appointment {
  readonly key: string;
  due = Infinity;
  readonly #parts: AttendantParts;
  readonly #calls: Calls;
  readonly #turns: Turns;
  #expectsUntil = -Infinity;
  /** How many questions are under way: what they bring to light must be acted upon. */
  #asking = 0;
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
    this.lookBy(this.#nextLook());
    return () => this.#calls.living.delete(place);
  }

  /** This process has parked the job of that place: it is called when it has its turn. */
  parked(place: string): void {
    this.#turns.unreserve(place);
  }

  /** What this process keeps taken ends after `ms`: it looks then. */
  expectEnd(ms: number): void {
    this.#expectsUntil = this.#now() + ms + LOOK_INTERVAL;
    this.lookBy(this.#now() + ms + SLACK);
  }

  /** The key is about to be given back, in this very tick. */
  foresee(): void {
    this.#turns.foresee();
  }

  /** Takes note of what a master said when the key was given back. */
  handOver(round: Round, node: number, reply: TurnReply): Promise<void> {
    round.replies[node] = reply;
    this.#consider(round);
    // A master that is down never completes the round.
    this.#endIfIdle();
    return round.calling;
  }

  /** Asks the masters whose turn it is, takes out those who are gone, and calls who must be called. */
  async look({ gone = [] }: { gone?: Serving["gone"] } = {}): Promise<void> {
    const round = new Round(this.#parts.context);
    this.due = Infinity;
    await this.#ask(round, { gone, ...NOBODY, life: TURN });
    const { decision } = round;
    if (decision.kind === "unknown" && this.#isInterested) {
      this.lookBy(this.#now() + LOOK_INTERVAL);
    }
    if (decision.kind === "turn") await this.#turns.confirm(decision);
    await round.calling;
    this.#endIfIdle();
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
    this.#parts.ended(this);
  }

  async #ask(round: Round, question: Question): Promise<void> {
    const { context, suspects } = this.#parts;
    const living = this.#calls.living.size > 0;
    const serving = { ...question, living, skipped: suspects.list() };
    this.#asking += 1;
    await askMasters(context, this.key, round, serving, (complete) => {
      // Whoever was given a turn needs no call: it is the caller's own, or is on its way.
      if (question.give === "") this.#consider(round, complete);
    });
    this.#asking -= 1;
  }

  /** @param complete whether no further master will answer. */
  #consider(round: Round, complete = round.isComplete): void {
    if (this.#ended) return;
    const { decision } = round;
    this.#planNextLook(decision, complete);
    if (decision.kind === "turn") this.#calls.living.get(decision.place)?.();
    if (decision.kind === "head") this.#turns.give(round, decision);
  }

  #planNextLook(decision: TurnDecision, complete: boolean): void {
    const now = this.#now();
    if (decision.kind === "unknown") return;
    // Who only gave a turn sees to it that it is used.
    if (complete && !this.#isInterested && !this.#isOurs(decision)) return this.#endIfIdle();
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
        // All were passed over: the key is due when their homes are tried again.
        break;
      default:
        decision satisfies never;
    }
    if (this.#calls.living.size > 0) this.lookBy(this.#nextLook());
    else if (decision.waiting === 0 && complete) this.#endIfIdle();
  }

  get #isInterested(): boolean {
    return this.#calls.living.size > 0 || this.#now() < this.#expectsUntil;
  }

  /** Whether this process gives the turn, or has given it. */
  #isOurs(decision: TurnDecision): boolean {
    return decision.kind === "head" || (decision.kind === "turn" && this.#calls.has(decision));
  }

  /** The masters say that it is the turn of a waiter that this process has parked, or that waits in it. */
  told(waiter: Waiter): void {
    // Its own word comes back to whoever gave the turn.
    if (this.#ended || this.#calls.has(waiter)) return;
    const isLiving = this.#calls.living.has(waiter.place);
    if (!isLiving && !this.#calls.canCall(waiter)) return this.#endIfIdle();
    if (!isLiving) {
      this.#calls.note(waiter);
      this.lookBy(this.#now() + TURN + SLACK);
    }
    void this.#calls.call(waiter).then((fate) => {
      if (fate === "gone") void this.look({ gone: [waiter] });
    });
  }

  #endIfIdle(): void {
    if (this.#asking === 0 && !this.#isInterested && this.due === Infinity) this.end();
  }

  /** On a grid, so that the looks of all keys travel together. */
  #nextLook(): number {
    return (Math.floor(this.#now() / LOOK_INTERVAL) + 1) * LOOK_INTERVAL;
  }

  #now(): number {
    return this.#parts.context.clock.now();
  }
}
