import type { WatchedQueue } from "../../lock/due-operation.ts";
import { MOST_DUE } from "../../lock/due-operation.ts";
import {
  HAND_OVER,
  LEASE,
  WAIT_LIST_RETENTION,
  LIVE_RESERVATION,
  LONGEST_PASS,
  MOST_REPLACED,
  NAMED,
  NEAR,
  SHORTEST_PASS,
  SLACK,
  RESERVATION,
} from "../../lock/wait-list-script.ts";
import type {
  JoinReply,
  Joining,
  Serving,
  SkippedQueue,
  ReservationReply,
  StoredWaiter,
} from "../../lock/wait-list-operations.ts";
import type { Requester } from "../../lock/lock-identity.ts";
import { type Names, RETENTION } from "../../lock/stored-lock.ts";

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
export class SimulatedWaitLists {
  readonly #memory: Memory;

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  reservationOf(names: Names, key: string): { position: string; token: number } | undefined {
    const [, token, position] =
      /^(\d+):([^]+)$/.exec(this.#memory.get(names.reservation(key)) ?? "") ?? [];
    return position === undefined ? undefined : { position, token: Number(token) };
  }

  join({ names, keys, newcomers, process, live }: Joining): readonly JoinReply[] {
    return keys.map((key) => {
      const line = this.#line(names, key);
      const records = this.#records(names, key);
      const lock = this.#memory.rest(names.lock(key));
      const reservation = this.reservationOf(names, key);
      const rest = lock === -2 ? Math.max(0, this.#memory.rest(names.reservation(key))) : lock;
      let replacing = "";
      for (const { position, priority, record, replaces } of newcomers) {
        if (runOf(records.get(position) ?? "") <= runOf(record)) {
          line.set(position, priority);
          records.set(position, record);
          this.#hasCome(names, position);
          this.#isDue(names, key, position, record, rest < 0 ? RESERVATION : rest + SLACK);
        }
        if (replaces && position > replacing) replacing = position;
      }
      if (live) records.set(`~${process}`, String(this.#memory.now() + LEASE));
      const replaced: StoredWaiter[] = [];
      const reply = ((): Omit<JoinReply, "replaced"> => {
        if (lock !== -2) return { status: "held", position: "" };
        if (reservation === undefined) return { status: "free", position: "" };
        return { status: "turn", position: reservation.position };
      })();
      if (replacing !== "") {
        replaceUpTo(records, replacing);
        for (const [other] of ordered(line).slice(0, MOST_REPLACED)) {
          const known = records.get(other) ?? "";
          if (other < replacing && known[1] === "r") {
            replaced.push({ position: other, record: known, priority: 0 });
          }
        }
      }
      this.#store(names, key, line, records, WAIT_LIST_RETENTION);
      return { ...reply, replaced };
    });
  }

  serve(serving: Serving): ReservationReply {
    const { names, key, token, process, give, calls, life, live, gone } = serving;
    let reservation = this.reservationOf(names, key);
    const dropTurn = (): void => {
      this.#memory.delete(names.reservation(key));
      reservation = undefined;
    };
    for (const { position, record } of gone) {
      const known = this.#records(names, key).get(position);
      if (record !== "" && known !== undefined && known !== record) continue;
      this.leave(names, key, position);
      if (reservation?.position === position) dropTurn();
    }
    const line = this.#line(names, key);
    if (live && line.size > 0) {
      const records = this.#records(names, key);
      records.set(`~${process}`, String(this.#memory.now() + LEASE));
      this.#store(names, key, line, records);
    }
    const lock = this.#memory.rest(names.lock(key));
    if (lock !== -2) return { status: "held", expiresIn: lock, waiting: line.size };
    const skipped = this.#homesOf(names, serving.skipped);
    if (give !== "" && (reservation === undefined || reservation.token <= token)) {
      const { record } = serving;
      if (calls) this.#call(names, key, token, { position: give, record }, life);
      else this.#memory.set(names.reservation(key), `${token}:${give}`, life);
      reservation = { position: give, token };
    } else if (
      reservation !== undefined &&
      skipped.includes(homeOf(reservation.position)) &&
      reservation.token <= token
    ) {
      if (this.#records(names, key).get(reservation.position)?.startsWith("l") !== true) dropTurn();
    }
    if (reservation !== undefined) {
      const expiresIn = this.#memory.rest(names.reservation(key));
      const record = this.#records(names, key).get(reservation.position) ?? "";
      return { status: "turn", ...reservation, record, expiresIn, waiting: line.size };
    }
    return this.next(names, key, token, { process, queueId: "" }, serving.skipped);
  }

  /** Gives the turn to the first in line. */
  next(
    names: Names,
    key: string,
    token: number,
    { process, queueId }: Pick<Requester, "process" | "queueId">,
    held: readonly SkippedQueue[] = [],
  ): ReservationReply {
    const skipped = this.#homesOf(names, held);
    if (this.#line(names, key).size === 0) return { status: "nobody", waiting: 0 };
    for (const queueId of skipped) this.#passOver(names, queueId);
    const preferred = this.#first(names, key, skipped, true);
    const waiters = preferred.length > 0 ? preferred : this.#first(names, key, skipped, false);
    const [head] = waiters;
    if (head === undefined) return { status: "nobody", waiting: this.#line(names, key).size };
    const theirs = head.record.split("@")[1] ?? "";
    const life = head.record.startsWith("l") ? LIVE_RESERVATION : RESERVATION;
    const parkedAtHome =
      !head.record.startsWith("l") && queueId !== "" && homeOf(head.position) === queueId;
    if (theirs === process || parkedAtHome) {
      this.#memory.set(names.reservation(key), `${token}:${head.position}`, life);
    } else {
      this.#call(names, key, token, head, life);
    }
    const queueIds = new Set<string>();
    for (const { position, record } of waiters) {
      if (!queueIds.has(homeOf(position))) this.#isDue(names, key, position, record, HAND_OVER);
      queueIds.add(homeOf(position));
    }
    return { status: "head", waiting: this.#line(names, key).size, waiters };
  }

  /** Joins as one that was refused. */
  arrive(
    names: Names,
    key: string,
    position: string,
    { priority, record, replaces }: NonNullable<Requester["joins"]>,
    rest: number,
  ): void {
    const known = this.#records(names, key);
    if (known.get(position) === `p${record.slice(1)}`) return;
    if (runOf(known.get(position) ?? "") > runOf(record)) return;
    const line = this.#line(names, key).set(position, priority);
    known.set(position, record);
    this.#hasCome(names, position);
    this.#isDue(names, key, position, record, rest < 0 ? RESERVATION : rest + SLACK);
    if (replaces) replaceUpTo(known, position);
    this.#store(names, key, line, known, WAIT_LIST_RETENTION);
  }

  /** Who comes before a caller that keeps to the order, as one whose turn it is. */
  firstBefore(
    names: Names,
    key: string,
    { position, behind }: Requester,
  ): { position: string; token: number } | undefined {
    if (behind === undefined) return undefined;
    const line = new Map(ordered(this.#line(names, key)).slice(0, 1)).set(
      position,
      behind.priority,
    );
    for (const other of this.#absentees(names, key, behind))
      line.set(other.position, other.priority);
    return { position: ordered(line)[0]![0], token: 0 };
  }

  /** Joins for those that have not asked for their key yet. */
  foresee(names: Names, key: string, { behind }: Requester, rest: number): void {
    for (const { position, priority } of this.#absentees(names, key, behind)) {
      const records = this.#records(names, key);
      if (behind === undefined || records.has(position)) continue;
      const line = this.#line(names, key).set(position, priority);
      this.#hasCome(names, position);
      this.#isDue(names, key, position, behind.record, rest < 0 ? RESERVATION : rest + SLACK);
      this.#store(names, key, line, records.set(position, behind.record), WAIT_LIST_RETENTION);
    }
  }

  /** One that was called has come. */
  come(names: Names, key: string, position: string): void {
    if (this.#line(names, key).size > 0) this.#hasCome(names, position);
  }

  /** How many are before a place; see `aheadOf` in the Lua. */
  ahead(names: Names, key: string, position: string): number {
    const positions = ordered(this.#line(names, key)).map(([other]) => other);
    const rank = positions.indexOf(position);
    if (rank === -1) return positions.length;
    if (rank > NEAR) return rank;
    return positions.slice(0, rank).filter((other) => homeOf(other) === homeOf(position)).length;
  }

  /** How many others wait; -1 when that place does not. */
  waitingBeside(names: Names, key: string, position: string): number {
    const line = this.#line(names, key);
    return line.has(position) ? line.size - 1 : -1;
  }

  /** The lock of a key will end after `holdFor` ms. */
  holdsOn(names: Names, key: string, holdFor: number): void {
    const [next] = ordered(this.#line(names, key));
    if (next !== undefined) this.#isDue(names, key, next[0], "", holdFor + SLACK);
  }

  /** The keys that must be checked for queues. */
  due(names: Names, queues: readonly WatchedQueue[]): string[] {
    const now = this.#memory.now();
    return queues.flatMap(({ queueId, servedAgo }) => {
      const due = parse<number>(this.#memory.get(names.due(queueId)));
      const came = now - Math.ceil(servedAgo);
      const pass = this.#passOf(names, queueId);
      let { ends } = pass;
      if (ends > 0 && ends - pass.pause < came) {
        this.#noteQueue(names, queueId, `+${came}`);
        ends = 0;
        for (const key of due.keys()) due.set(key, 0);
      }
      const found: string[] = [];
      const overdue = ordered(due).filter(([, at]) => at <= now);
      for (const [key] of overdue.slice(0, MOST_DUE)) {
        const rest = this.#memory.rest(names.lock(key));
        const reservation = this.reservationOf(names, key);
        const left =
          reservation === undefined ? 0 : this.#memory.rest(names.reservation(key)) + SLACK;
        if (this.#line(names, key).size === 0) {
          due.delete(key);
        } else if (rest !== -2) {
          due.set(key, now + (rest < 0 ? RESERVATION : rest + SLACK));
        } else if (reservation !== undefined && homeOf(reservation.position) !== queueId) {
          due.set(key, now + left);
        } else if (reservation === undefined && ends > now) {
          due.set(key, ends);
        } else {
          found.push(key);
          due.set(key, now + Math.max(left, RESERVATION));
        }
      }
      this.#storeDue(names, queueId, due);
      return found;
    });
  }

  leaveOnce(names: Names, key: string, position: string, run: number): void {
    if (runOf(this.#records(names, key).get(position) ?? "") <= run)
      this.leave(names, key, position);
  }

  leave(names: Names, key: string, position: string): void {
    const line = this.#line(names, key);
    if (!line.delete(position)) return;
    const records = this.#records(names, key);
    records.delete(position);
    this.#store(names, key, line, records);
  }

  /** The latest place that has replaced earlier ones; empty for none. */
  latest(names: Names, key: string): string {
    const waiting = this.#records(names, key).get("^") ?? "";
    const done = this.#newest(names, key).get("done") ?? "";
    return done > waiting ? done : waiting;
  }

  /** The place of the holder with that token, if it is later than the one given. */
  laterHolder(
    names: Names,
    key: string,
    token: number | undefined,
    position: string,
  ): { later?: string } {
    const [, held, later = ""] =
      /^(\d+):([^]*)$/.exec(this.#newest(names, key).get("held") ?? "") ?? [];
    return Number(held) === token && later > position ? { later } : {};
  }

  /** A job that replaces earlier ones has succeeded. */
  succeed(names: Names, key: string, position: string): void {
    const newest = this.#newest(names, key);
    if (position > (newest.get("done") ?? ""))
      this.#storeNewest(names, key, newest.set("done", position));
  }

  /** A job that replaces earlier ones has the key. */
  hold(
    names: Names,
    key: string,
    token: number,
    { position, replaceable, behind }: Requester,
  ): void {
    if (replaceable || behind !== undefined) {
      const held = `${token}:${position}`;
      this.#storeNewest(names, key, this.#newest(names, key).set("held", held));
    }
    const records = this.#records(names, key);
    if (records.get("^") !== position) return;
    records.delete("^");
    this.#store(names, key, this.#line(names, key), records);
  }

  first(names: Names, key: string, from = 0, count = 20): { position: string; priority: number }[] {
    const line = ordered(this.#line(names, key)).slice(from, from + count);
    return line.map(([position, priority]) => ({ position, priority }));
  }

  size(names: Names, key: string): number {
    return this.#line(names, key).size;
  }

  /** Those that may come before a caller; the last holder does not, though its queue may not know yet that it is done. */
  #absentees(
    names: Names,
    key: string,
    behind: Requester["behind"],
  ): readonly Pick<StoredWaiter, "position" | "priority">[] {
    const [, last] = /^\d+:([^]*)$/.exec(this.#newest(names, key).get("held") ?? "") ?? [];
    return (behind?.others ?? []).filter(({ position }) => position !== last);
  }

  #newest(names: Names, key: string): Map<string, string> {
    return parse<string>(this.#memory.get(names.newest(key)));
  }

  #storeNewest(names: Names, key: string, newest: Map<string, string>): void {
    this.#memory.set(names.newest(key), JSON.stringify([...newest]), RETENTION);
  }

  #noteQueue(names: Names, queueId: string, note: string): void {
    const queues = parse<string>(this.#memory.get(names.queues)).set(queueId, note);
    this.#memory.set(names.queues, JSON.stringify([...queues]), WAIT_LIST_RETENTION);
  }

  #noteOf(names: Names, queueId: string): string {
    return parse<string>(this.#memory.get(names.queues)).get(queueId) ?? "";
  }

  #hasCome(names: Names, position: string): void {
    this.#noteQueue(names, homeOf(position), `+${this.#memory.now()}`);
  }

  #passOf(names: Names, queueId: string): { ends: number; pause: number } {
    const [, ends = 0, pause = SHORTEST_PASS / 2] =
      /^(\d+):(\d+)$/.exec(this.#noteOf(names, queueId)) ?? [];
    return { ends: Number(ends), pause: Number(pause) };
  }

  #isDue(names: Names, key: string, position: string, record: string, ms: number): void {
    if (record.startsWith("l")) return;
    const due = parse<number>(this.#memory.get(names.due(homeOf(position))));
    const at = Math.round(this.#memory.now() + ms);
    this.#storeDue(names, homeOf(position), due.set(key, Math.min(due.get(key) ?? at, at)));
  }

  #storeDue(names: Names, queueId: string, due: Map<string, number>): void {
    if (due.size === 0) this.#memory.delete(names.due(queueId));
    else this.#memory.set(names.due(queueId), JSON.stringify([...due]), WAIT_LIST_RETENTION);
  }

  /** Those of the homes that have not come since. */
  #homesOf(names: Names, skipped: readonly SkippedQueue[]): string[] {
    return skipped.flatMap(({ queueId, age }) => {
      const [, came] = /^\+(\d+)$/.exec(this.#noteOf(names, queueId)) ?? [];
      const since = this.#memory.now() - Math.ceil(age);
      return came === undefined || Number(came) < since ? queueId : [];
    });
  }

  #passOver(names: Names, queueId: string): void {
    const { ends, pause: before } = this.#passOf(names, queueId);
    const now = this.#memory.now();
    if (ends > now) return;
    const pause = Math.min(2 * before, LONGEST_PASS);
    this.#noteQueue(names, queueId, `${now + pause}:${pause}`);
  }

  #first(names: Names, key: string, skipped: readonly string[], prefers: boolean): StoredWaiter[] {
    const found: StoredWaiter[] = [];
    for (const [position, priority] of ordered(this.#line(names, key))) {
      const records = this.#records(names, key);
      const { ends } = this.#passOf(names, homeOf(position));
      const record = records.get(position);
      const passes = skipped.includes(homeOf(position)) || (prefers && ends > this.#memory.now());
      if (passes && record?.startsWith("l") !== true) continue;
      const [, process] = /^l[^@]*@([^]*)$/.exec(record ?? "") ?? [];
      const lease = process === undefined ? Infinity : Number(records.get(`~${process}`) ?? 0);
      if (record === undefined || lease < this.#memory.now()) this.leave(names, key, position);
      else found.push({ position, record, priority });
      if (found.length === NAMED) break;
    }
    return found;
  }

  #call(
    names: Names,
    key: string,
    token: number,
    { position, record }: Omit<StoredWaiter, "priority">,
    life: number,
  ): void {
    this.#memory.set(names.reservation(key), `${token}:${position}`, life);
    const called = names.called(record.split("@")[1] ?? "");
    this.#memory.publish(called, JSON.stringify([key, String(token), position, record]));
    this.#isDue(names, key, position, record, HAND_OVER);
  }

  #line(names: Names, key: string): Map<string, number> {
    return parse<number>(this.#memory.get(names.waiters(key)));
  }

  #records(names: Names, key: string): Map<string, string> {
    return parse<string>(this.#memory.get(names.waiter(key)));
  }

  #store(
    names: Names,
    key: string,
    line: Map<string, number>,
    records: Map<string, string>,
    ttl?: number,
  ): void {
    const rest = ttl ?? this.#memory.rest(names.waiters(key));
    if (line.size === 0) {
      this.#memory.delete(names.waiters(key));
      this.#memory.delete(names.waiter(key));
      return;
    }
    this.#memory.set(names.waiters(key), JSON.stringify([...line]), rest);
    this.#memory.set(names.waiter(key), JSON.stringify([...records]), rest);
  }
}

function replaceUpTo(records: Map<string, string>, position: string): void {
  if (position > (records.get("^") ?? "")) records.set("^", position);
}

function parse<V>(stored: string | undefined): Map<string, V> {
  return new Map(JSON.parse(stored ?? "[]") as [string, V][]);
}

function ordered(line: ReadonlyMap<string, number>): [string, number][] {
  return [...line].sort(([a, first], [b, second]) => first - second || (a < b ? -1 : 1));
}

function homeOf(position: string): string {
  return position.split(":", 2)[1] ?? "";
}

function runOf(record: string): number {
  return Number(/^[a-z]+(\d+)/.exec(record)?.[1] ?? 0);
}
