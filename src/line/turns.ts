import type { Clock } from "../clock.ts";
import type { Serving, Waiter } from "../lock/lining.ts";
import { type Calls, turnOf } from "./calls.ts";
import type { TurnDecision } from "./decide-turn.ts";
import type { Fate } from "./home.ts";
import { homeIn, isAbsentee, isArriving } from "./place.ts";
import type { Round } from "./round.ts";
import type { Suspects } from "./suspects.ts";

/** Milliseconds between two looks while somebody waits in this process, or while masters are silent. */
export const LOOK_INTERVAL = 1_000;

/** A detail that no waiter has: takes the turn from a place that is in no line, and nothing else. */
const IN_NO_LINE = "?";

/** What {@link Turns} ask of the line. */
interface ServedLine {
  /** Takes out those who are gone, and gives the turn to the next. */
  look(options?: { gone?: Serving["gone"] }): Promise<void>;
  keepFor(waiter: Omit<Waiter, "priority">, life: number, calls: boolean): Promise<void>;
  lookBy(at: number): void;
}

/** What {@link Turns} work with. */
export interface TurnsParts {
  readonly line: ServedLine;
  readonly clock: Clock;
  readonly calls: Calls;
  readonly suspects: Suspects;
}

/** The turns of one key, as far as this process gives them: sees to it that each is used, or passes to the next. */
export class Turns {
  readonly #line: ServedLine;
  readonly #clock: Clock;
  readonly #calls: Calls;
  readonly #suspects: Suspects;
  /** Who came after the last one that got the turn. */
  #heir: Waiter | undefined;
  /** For whom the key is kept although it is not called yet. */
  #reserved: { readonly place: string; readonly until: number } | undefined;
  /** Whom the line was to go on from last, and when. */
  #left: { readonly place: string; readonly at: number } | undefined;

  constructor({ line, clock, calls, suspects }: TurnsParts) {
    this.#line = line;
    this.#clock = clock;
    this.#calls = calls;
    this.#suspects = suspects;
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

  /** The key is kept for `life` ms for one that is not called yet. */
  reserve(place: string, life: number): void {
    this.#reserved = { place, until: this.#clock.now() + life };
  }

  /** The place is called when it has its turn. */
  unreserve(place: string): void {
    if (this.#reserved?.place === place) this.#reserved = undefined;
  }

  /** Calls whom the first masters have named, once in a round, and has the others agree. */
  give(round: Round, decision: TurnDecision & { kind: "head" }): void {
    const { head, dissent, next } = decision;
    if (round.chosen === undefined) {
      round.chosen = head;
      this.#heir = next[0];
      this.#suspects.named(homeIn(head.place), round.askedAt);
      round.calling = new Promise((resolve) => {
        void this.#serve(round, decision, resolve).then(resolve);
      });
    }
    // Once for each late voice: the masters then agree.
    // One that arrives may have the key already, and be gone again: for it nobody's turn is changed.
    const spreads = !round.gone && !isArriving(round.chosen);
    if (spreads && (dissent || round.chosen.place !== head.place)) {
      void this.#line.keepFor(round.chosen, turnOf(round.chosen), true);
    }
  }

  /**
   * Sees to it that all masters keep the key for the same one, and calls it if it is of a home of ours: it may have been
   * called before it was parked, or its call was not heard.
   */
  async confirm({
    place,
    detail,
    dissent,
    expiresIn,
  }: TurnDecision & { kind: "turn" }): Promise<void> {
    // Nobody can be waiting there: it left, and a turn that was given meanwhile came after it.
    if (detail === "") return await this.#line.look({ gone: [{ place, detail: IN_NO_LINE }] });
    const waiter = { place, detail, priority: 0 };
    this.#calls.keptFor(place);
    if (this.#isReserved(place)) return await this.#confirmReserved(waiter);
    // Another process has called it once more.
    if (this.#calls.hasLapsed(waiter)) {
      return await this.#passOver(waiter, await this.#calls.fateOf(waiter));
    }
    if (dissent && !isArriving(waiter)) await this.#line.keepFor(waiter, turnOf(waiter), false);
    if (this.#calls.has(waiter)) return;
    if (!this.#calls.canCall(waiter)) return;
    const givenAt = this.#clock.now() + Math.min(0, expiresIn - turnOf(waiter));
    this.#calls.note(waiter);
    const fate = await this.#calls.call(waiter);
    if (fate === "gone") return await this.#line.look({ gone: [waiter] });
    // It was called when it was given the turn, and is not given another one.
    if (fate !== "called" && this.#calls.has(waiter)) this.#calls.note(waiter, givenAt);
  }

  #isReserved(place: string): boolean {
    return this.#reserved?.place === place && this.#clock.now() < this.#reserved.until;
  }

  /** One that waits for other keys yet may go, and then nobody else asks for the key it left. */
  async #confirmReserved(waiter: Waiter): Promise<void> {
    const fate = await this.#calls.fateOf(waiter);
    if (fate === "gone") return await this.#line.look({ gone: [waiter] });
    this.#line.lookBy(this.#clock.now() + LOOK_INTERVAL);
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
    this.#suspects.suspect(homeIn(waiter.place));
    await this.#line.look();
  }

  /** Takes out a waiter that is gone, and those after it that are gone too; the next one gets the turn. */
  async #dropGone(head: Waiter, next: readonly Waiter[]): Promise<void> {
    if (this.#isStuckAt(head)) return;
    // One that has not asked for its key yet has missed no turn.
    const fates = await Promise.all(
      next.map(async (waiter) =>
        isAbsentee(waiter) ? "coming" : await this.#calls.fateOf(waiter),
      ),
    );
    const firstAlive = fates.findIndex((fate) => fate !== "gone");
    await this.#line.look({
      gone: [head, ...next.slice(0, firstAlive === -1 ? undefined : firstAlive)],
    });
  }

  /** Whether the line was to go on from the waiter just now: masters that cannot do so are not asked without end. */
  #isStuckAt(waiter: Waiter): boolean {
    const now = this.#clock.now();
    if (this.#left?.place === waiter.place && now < this.#left.at + LOOK_INTERVAL) {
      this.#line.lookBy(now + LOOK_INTERVAL);
      return true;
    }
    this.#left = { place: waiter.place, at: now };
    return false;
  }
}
