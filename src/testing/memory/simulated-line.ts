import type { AttendedQueue } from "../../lock/due-keys.ts";
import { MOST_DUE } from "../../lock/due-keys.ts";
import {
  HAND_OVER,
  LEASE,
  LINE_RETENTION,
  LIVING_TURN,
  LONGEST_PASS,
  MOST_REPLACED,
  NAMED,
  NEAR,
  SHORTEST_PASS,
  SLACK,
  TURN,
} from "../../lock/line-script.ts";
import type { JoinReply, Joining, Serving, Skipped, TurnReply, Waiter } from "../../lock/lining.ts";
import type { Caller } from "../../lock/claim.ts";
import { type Names, RETENTION } from "../../lock/stored.ts";

/** What a line needs of its master. */
export interface Memory {
  get(key: string): string | undefined;
  set(key: string, value: string, ttl: number): void;
  delete(key: string): void;
  /** Milliseconds to the end of a key, -2 when there is none. */
  rest(key: string): number;
  /** Milliseconds, whole, by the master's clock. */
  now(): number;
  publish(channel: string, message: string): void;
}

/** The lines of a simulated master: the twin of the Lua in `line-script.ts` and `lining.ts`. */
export class SimulatedLine {
  readonly #memory: Memory;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  turnOf(names: Names, key: string): { place: string; token: number } | undefined {
    const [, token, place] = /^(\d+):([^]+)$/.exec(this.#memory.get(names.turn(key)) ?? "") ?? [];
    return place === undefined ? undefined : { place, token: Number(token) };
  }

  join({ names, keys, newcomers, process, living }: Joining): readonly JoinReply[] {
    return keys.map((key) => {
      const line = this.#line(names, key);
      const details = this.#details(names, key);
      const lock = this.#memory.rest(names.lock(key));
      const turn = this.turnOf(names, key);
      const rest = lock === -2 ? Math.max(0, this.#memory.rest(names.turn(key))) : lock;
      let replacing = "";
      for (const { place, priority, detail, replaces } of newcomers) {
        if (runOf(details.get(place) ?? "") <= runOf(detail)) {
          line.set(place, priority);
          details.set(place, detail);
          this.#hasCome(names, place);
          this.#isDue(names, key, place, detail, rest < 0 ? TURN : rest + SLACK);
        }
        if (replaces && place > replacing) replacing = place;
      }
      if (living) details.set(`~${process}`, String(this.#memory.now() + LEASE));
      const replaced: Waiter[] = [];
      const reply = ((): Omit<JoinReply, "replaced"> => {
        if (lock !== -2) return { status: "held", place: "" };
        if (turn === undefined) return { status: "free", place: "" };
        return { status: "turn", place: turn.place };
      })();
      if (replacing !== "") {
        replaceUpTo(details, replacing);
        for (const [other] of ordered(line).slice(0, MOST_REPLACED)) {
          const known = details.get(other) ?? "";
          if (other < replacing && known[1] === "r") {
            replaced.push({ place: other, detail: known, priority: 0 });
          }
        }
      }
      this.#store(names, key, line, details, LINE_RETENTION);
      return { ...reply, replaced };
    });
  }

  serve(serving: Serving): TurnReply {
    const { names, key, token, process, give, calls, life, living, gone } = serving;
    let turn = this.turnOf(names, key);
    const dropTurn = (): void => {
      this.#memory.delete(names.turn(key));
      turn = undefined;
    };
    for (const { place, detail } of gone) {
      const known = this.#details(names, key).get(place);
      if (detail !== "" && known !== undefined && known !== detail) continue;
      this.leave(names, key, place);
      if (turn?.place === place) dropTurn();
    }
    const line = this.#line(names, key);
    if (living && line.size > 0) {
      const details = this.#details(names, key);
      details.set(`~${process}`, String(this.#memory.now() + LEASE));
      this.#store(names, key, line, details);
    }
    const lock = this.#memory.rest(names.lock(key));
    if (lock !== -2) return { status: "held", expiresIn: lock, waiting: line.size };
    const skipped = this.#homesOf(names, serving.skipped);
    if (give !== "" && (turn === undefined || turn.token <= token)) {
      const { detail } = serving;
      if (calls) this.#call(names, key, token, { place: give, detail }, life);
      else this.#memory.set(names.turn(key), `${token}:${give}`, life);
      turn = { place: give, token };
    } else if (turn !== undefined && skipped.includes(homeOf(turn.place)) && turn.token <= token) {
      if (this.#details(names, key).get(turn.place)?.startsWith("l") !== true) dropTurn();
    }
    if (turn !== undefined) {
      const expiresIn = this.#memory.rest(names.turn(key));
      const detail = this.#details(names, key).get(turn.place) ?? "";
      return { status: "turn", ...turn, detail, expiresIn, waiting: line.size };
    }
    return this.next(names, key, token, { process, home: "" }, serving.skipped);
  }

  /** Gives the turn to the first in line. */
  next(
    names: Names,
    key: string,
    token: number,
    { process, home }: Pick<Caller, "process" | "home">,
    held: readonly Skipped[] = [],
  ): TurnReply {
    const skipped = this.#homesOf(names, held);
    if (this.#line(names, key).size === 0) return { status: "nobody", waiting: 0 };
    for (const home of skipped) this.#passOver(names, home);
    const preferred = this.#first(names, key, skipped, true);
    const waiters = preferred.length > 0 ? preferred : this.#first(names, key, skipped, false);
    const [head] = waiters;
    if (head === undefined) return { status: "nobody", waiting: this.#line(names, key).size };
    const theirs = head.detail.split("@")[1] ?? "";
    const life = head.detail.startsWith("l") ? LIVING_TURN : TURN;
    const parkedAtHome = !head.detail.startsWith("l") && home !== "" && homeOf(head.place) === home;
    if (theirs === process || parkedAtHome) {
      this.#memory.set(names.turn(key), `${token}:${head.place}`, life);
    } else {
      this.#call(names, key, token, head, life);
    }
    const homes = new Set<string>();
    for (const { place, detail } of waiters) {
      if (!homes.has(homeOf(place))) this.#isDue(names, key, place, detail, HAND_OVER);
      homes.add(homeOf(place));
    }
    return { status: "head", waiting: this.#line(names, key).size, waiters };
  }

  /** Joins as one that was refused. */
  arrive(
    names: Names,
    key: string,
    place: string,
    { priority, detail, replaces }: NonNullable<Caller["joins"]>,
    rest: number,
  ): void {
    const known = this.#details(names, key);
    if (known.get(place) === `p${detail.slice(1)}`) return;
    if (runOf(known.get(place) ?? "") > runOf(detail)) return;
    const line = this.#line(names, key).set(place, priority);
    known.set(place, detail);
    this.#hasCome(names, place);
    this.#isDue(names, key, place, detail, rest < 0 ? TURN : rest + SLACK);
    if (replaces) replaceUpTo(known, place);
    this.#store(names, key, line, known, LINE_RETENTION);
  }

  /** Who comes before a caller that keeps to the order, as one whose turn it is. */
  firstBefore(
    names: Names,
    key: string,
    { place, behind }: Caller,
  ): { place: string; token: number } | undefined {
    if (behind === undefined) return undefined;
    const line = new Map(ordered(this.#line(names, key)).slice(0, 1)).set(place, behind.priority);
    for (const other of this.#absentees(names, key, behind)) line.set(other.place, other.priority);
    return { place: ordered(line)[0]![0], token: 0 };
  }

  /** Joins for those that have not asked for their key yet. */
  foresee(names: Names, key: string, { behind }: Caller, rest: number): void {
    for (const { place, priority } of this.#absentees(names, key, behind)) {
      const details = this.#details(names, key);
      if (behind === undefined || details.has(place)) continue;
      const line = this.#line(names, key).set(place, priority);
      this.#hasCome(names, place);
      this.#isDue(names, key, place, behind.detail, rest < 0 ? TURN : rest + SLACK);
      this.#store(names, key, line, details.set(place, behind.detail), LINE_RETENTION);
    }
  }

  /** One that was called has come. */
  come(names: Names, key: string, place: string): void {
    if (this.#line(names, key).size > 0) this.#hasCome(names, place);
  }

  /** How many are before a place; see `aheadOf` in the Lua. */
  ahead(names: Names, key: string, place: string): number {
    const places = ordered(this.#line(names, key)).map(([other]) => other);
    const rank = places.indexOf(place);
    if (rank === -1) return places.length;
    if (rank > NEAR) return rank;
    return places.slice(0, rank).filter((other) => homeOf(other) === homeOf(place)).length;
  }

  /** How many others wait; -1 when that place does not. */
  waitingBeside(names: Names, key: string, place: string): number {
    const line = this.#line(names, key);
    return line.has(place) ? line.size - 1 : -1;
  }

  /** The lock of a key will end after `linger` ms. */
  lingers(names: Names, key: string, linger: number): void {
    const [next] = ordered(this.#line(names, key));
    if (next !== undefined) this.#isDue(names, key, next[0], "", linger + SLACK);
  }

  /** The keys that must be checked for queues. */
  due(names: Names, queues: readonly AttendedQueue[]): string[] {
    const now = this.#memory.now();
    return queues.flatMap(({ home, servedAgo }) => {
      const due = parse<number>(this.#memory.get(names.due(home)));
      const came = now - Math.ceil(servedAgo);
      const pass = this.#passOf(names, home);
      let { ends } = pass;
      if (ends > 0 && ends - pass.pause < came) {
        this.#noteQueue(names, home, `+${came}`);
        ends = 0;
        for (const key of due.keys()) due.set(key, 0);
      }
      const found: string[] = [];
      const overdue = ordered(due).filter(([, at]) => at <= now);
      for (const [key] of overdue.slice(0, MOST_DUE)) {
        const rest = this.#memory.rest(names.lock(key));
        const turn = this.turnOf(names, key);
        const left = turn === undefined ? 0 : this.#memory.rest(names.turn(key)) + SLACK;
        if (this.#line(names, key).size === 0) {
          due.delete(key);
        } else if (rest !== -2) {
          due.set(key, now + (rest < 0 ? TURN : rest + SLACK));
        } else if (turn !== undefined && homeOf(turn.place) !== home) {
          due.set(key, now + left);
        } else if (turn === undefined && ends > now) {
          due.set(key, ends);
        } else {
          found.push(key);
          due.set(key, now + Math.max(left, TURN));
        }
      }
      this.#storeDue(names, home, due);
      return found;
    });
  }

  leaveOnce(names: Names, key: string, place: string, run: number): void {
    if (runOf(this.#details(names, key).get(place) ?? "") <= run) this.leave(names, key, place);
  }

  leave(names: Names, key: string, place: string): void {
    const line = this.#line(names, key);
    if (!line.delete(place)) return;
    const details = this.#details(names, key);
    details.delete(place);
    this.#store(names, key, line, details);
  }

  /** The latest place that has replaced earlier ones; empty for none. */
  latest(names: Names, key: string): string {
    const waiting = this.#details(names, key).get("^") ?? "";
    const done = this.#newest(names, key).get("done") ?? "";
    return done > waiting ? done : waiting;
  }

  /** The place of the holder with that token, if it is later than the one given. */
  laterHolder(
    names: Names,
    key: string,
    token: number | undefined,
    place: string,
  ): { later?: string } {
    const [, held, later = ""] =
      /^(\d+):([^]*)$/.exec(this.#newest(names, key).get("held") ?? "") ?? [];
    return Number(held) === token && later > place ? { later } : {};
  }

  /** A job that replaces earlier ones has succeeded. */
  succeed(names: Names, key: string, place: string): void {
    const newest = this.#newest(names, key);
    if (place > (newest.get("done") ?? ""))
      this.#storeNewest(names, key, newest.set("done", place));
  }

  /** A job that replaces earlier ones has the key. */
  hold(names: Names, key: string, token: number, { place, replaceable, behind }: Caller): void {
    if (replaceable || behind !== undefined) {
      const held = `${token}:${place}`;
      this.#storeNewest(names, key, this.#newest(names, key).set("held", held));
    }
    const details = this.#details(names, key);
    if (details.get("^") !== place) return;
    details.delete("^");
    this.#store(names, key, this.#line(names, key), details);
  }

  first(names: Names, key: string, from = 0, count = 20): { place: string; priority: number }[] {
    const line = ordered(this.#line(names, key)).slice(from, from + count);
    return line.map(([place, priority]) => ({ place, priority }));
  }

  size(names: Names, key: string): number {
    return this.#line(names, key).size;
  }

  /** Those that may come before a caller; the last holder does not, though its queue may not know yet that it is done. */
  #absentees(
    names: Names,
    key: string,
    behind: Caller["behind"],
  ): readonly Pick<Waiter, "place" | "priority">[] {
    const [, last] = /^\d+:([^]*)$/.exec(this.#newest(names, key).get("held") ?? "") ?? [];
    return (behind?.others ?? []).filter(({ place }) => place !== last);
  }

  #newest(names: Names, key: string): Map<string, string> {
    return parse<string>(this.#memory.get(names.newest(key)));
  }

  #storeNewest(names: Names, key: string, newest: Map<string, string>): void {
    this.#memory.set(names.newest(key), JSON.stringify([...newest]), RETENTION);
  }

  #noteQueue(names: Names, home: string, note: string): void {
    const queues = parse<string>(this.#memory.get(names.queues)).set(home, note);
    this.#memory.set(names.queues, JSON.stringify([...queues]), LINE_RETENTION);
  }

  #noteOf(names: Names, home: string): string {
    return parse<string>(this.#memory.get(names.queues)).get(home) ?? "";
  }

  #hasCome(names: Names, place: string): void {
    this.#noteQueue(names, homeOf(place), `+${this.#memory.now()}`);
  }

  #passOf(names: Names, home: string): { ends: number; pause: number } {
    const [, ends = 0, pause = SHORTEST_PASS / 2] =
      /^(\d+):(\d+)$/.exec(this.#noteOf(names, home)) ?? [];
    return { ends: Number(ends), pause: Number(pause) };
  }

  #isDue(names: Names, key: string, place: string, detail: string, ms: number): void {
    if (detail.startsWith("l")) return;
    const due = parse<number>(this.#memory.get(names.due(homeOf(place))));
    const at = Math.round(this.#memory.now() + ms);
    this.#storeDue(names, homeOf(place), due.set(key, Math.min(due.get(key) ?? at, at)));
  }

  #storeDue(names: Names, home: string, due: Map<string, number>): void {
    if (due.size === 0) this.#memory.delete(names.due(home));
    else this.#memory.set(names.due(home), JSON.stringify([...due]), LINE_RETENTION);
  }

  /** Those of the homes that have not come since. */
  #homesOf(names: Names, skipped: readonly Skipped[]): string[] {
    return skipped.flatMap(({ home, age }) => {
      const [, came] = /^\+(\d+)$/.exec(this.#noteOf(names, home)) ?? [];
      const since = this.#memory.now() - Math.ceil(age);
      return came === undefined || Number(came) < since ? home : [];
    });
  }

  #passOver(names: Names, home: string): void {
    const { ends, pause: before } = this.#passOf(names, home);
    const now = this.#memory.now();
    if (ends > now) return;
    const pause = Math.min(2 * before, LONGEST_PASS);
    this.#noteQueue(names, home, `${now + pause}:${pause}`);
  }

  #first(names: Names, key: string, skipped: readonly string[], prefers: boolean): Waiter[] {
    const found: Waiter[] = [];
    for (const [place, priority] of ordered(this.#line(names, key))) {
      const details = this.#details(names, key);
      const { ends } = this.#passOf(names, homeOf(place));
      const detail = details.get(place);
      const passes = skipped.includes(homeOf(place)) || (prefers && ends > this.#memory.now());
      if (passes && detail?.startsWith("l") !== true) continue;
      const [, process] = /^l[^@]*@([^]*)$/.exec(detail ?? "") ?? [];
      const lease = process === undefined ? Infinity : Number(details.get(`~${process}`) ?? 0);
      if (detail === undefined || lease < this.#memory.now()) this.leave(names, key, place);
      else found.push({ place, detail, priority });
      if (found.length === NAMED) break;
    }
    return found;
  }

  #call(
    names: Names,
    key: string,
    token: number,
    { place, detail }: Omit<Waiter, "priority">,
    life: number,
  ): void {
    this.#memory.set(names.turn(key), `${token}:${place}`, life);
    const called = names.called(detail.split("@")[1] ?? "");
    this.#memory.publish(called, JSON.stringify([key, String(token), place, detail]));
    this.#isDue(names, key, place, detail, HAND_OVER);
  }

  #line(names: Names, key: string): Map<string, number> {
    return parse<number>(this.#memory.get(names.waiters(key)));
  }

  #details(names: Names, key: string): Map<string, string> {
    return parse<string>(this.#memory.get(names.waiter(key)));
  }

  #store(
    names: Names,
    key: string,
    line: Map<string, number>,
    details: Map<string, string>,
    ttl?: number,
  ): void {
    const rest = ttl ?? this.#memory.rest(names.waiters(key));
    if (line.size === 0) {
      this.#memory.delete(names.waiters(key));
      this.#memory.delete(names.waiter(key));
      return;
    }
    this.#memory.set(names.waiters(key), JSON.stringify([...line]), rest);
    this.#memory.set(names.waiter(key), JSON.stringify([...details]), rest);
  }
}

function replaceUpTo(details: Map<string, string>, place: string): void {
  if (place > (details.get("^") ?? "")) details.set("^", place);
}

function parse<V>(stored: string | undefined): Map<string, V> {
  return new Map(JSON.parse(stored ?? "[]") as [string, V][]);
}

function ordered(line: ReadonlyMap<string, number>): [string, number][] {
  return [...line].sort(([a, first], [b, second]) => first - second || (a < b ? -1 : 1));
}

function homeOf(place: string): string {
  return place.split(":", 2)[1] ?? "";
}

function runOf(detail: string): number {
  return Number(/^[a-z]+(\d+)/.exec(detail)?.[1] ?? 0);
}
