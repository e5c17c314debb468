import type { Clock } from "../../clock.ts";

type Value = string | Map<string, number> | Map<string, string>;

interface Stored {
  readonly value: Value;
  expiresAt: number;
}

/** What is in the memory of a master at one time. */
export type Snapshot = ReadonlyMap<string, Readonly<Stored>>;

/** The Redis commands that the script of a master uses, in virtual time. */
export class SimulatedRedis {
  readonly #clock: Clock;
  #data = new Map<string, Stored>();
  readonly #channels = new Map<string, Set<(message: string) => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whole milliseconds, as the Lua reads them. */
  now(): number {
    return Math.floor(this.#clock.now());
  }

  get(key: string): string | undefined {
    const value = this.#read(key);
    return typeof value === "string" ? value : undefined;
  }

  /** @param ttl milliseconds; `Infinity` for a key without an end. */
  set(key: string, value: string, ttl: number): void {
    this.#data.set(key, { value, expiresAt: this.#clock.now() + ttl });
  }

  del(key: string): void {
    this.#data.delete(key);
  }

  exists(key: string): boolean {
    return this.#read(key) !== undefined;
  }

  pttl(key: string): number {
    if (!this.exists(key)) return -2;
    const rest = (this.#data.get(key)?.expiresAt ?? 0) - this.#clock.now();
    return rest === Infinity ? -1 : rest;
  }

  pexpire(key: string, ms: number): void {
    const stored = this.#data.get(key);
    if (stored !== undefined) stored.expiresAt = this.#clock.now() + ms;
  }

  zadd(key: string, member: string, score: number): void {
    this.#collection<number>(key).set(member, score);
  }

  zrem(key: string, member: string): boolean {
    return this.#remove(key, member);
  }

  zcard(key: string): number {
    return this.#map<number>(key).size;
  }

  zscore(key: string, member: string): number | undefined {
    return this.#map<number>(key).get(member);
  }

  zrank(key: string, member: string): number | undefined {
    const rank = this.zrange(key).findIndex(([other]) => other === member);
    return rank === -1 ? undefined : rank;
  }

  /** Members with their scores, in order. */
  zrange(key: string, from = 0, count = Infinity): [string, number][] {
    const members = [...this.#map<number>(key)];
    members.sort(([a, first], [b, second]) => first - second || (a < b ? -1 : 1));
    return members.slice(from, from + count);
  }

  hset(key: string, field: string, value: string): void {
    this.#collection<string>(key).set(field, value);
  }

  hget(key: string, field: string): string | undefined {
    return this.#map<string>(key).get(field);
  }

  hdel(key: string, field: string): void {
    this.#remove(key, field);
  }

  /** @returns how many receive it. */
  publish(channel: string, message: string): number {
    const listeners = this.#channels.get(channel) ?? [];
    for (const listener of listeners) listener(message);
    return [...listeners].length;
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    const listeners = this.#channels.get(channel) ?? new Set();
    this.#channels.set(channel, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  keys(): string[] {
    return [...this.#data.keys()].filter((key) => this.exists(key));
  }

  /** What a sorted set or a hash has, in the order of insertion. */
  entries(key: string): [string, string | number][] {
    return [...this.#map<string | number>(key)];
  }

  snapshot(): Snapshot {
    return copyOf(this.#data);
  }

  restore(snapshot: Snapshot): void {
    this.#data = copyOf(snapshot);
  }

  #read(key: string): Value | undefined {
    const stored = this.#data.get(key);
    return stored === undefined || stored.expiresAt <= this.#clock.now() ? undefined : stored.value;
  }

  #map<V extends string | number>(key: string): ReadonlyMap<string, V> {
    return (this.#read(key) ?? new Map()) as ReadonlyMap<string, V>;
  }

  #collection<V extends string | number>(key: string): Map<string, V> {
    if (!this.exists(key)) this.#data.set(key, { value: new Map(), expiresAt: Infinity });
    return this.#read(key) as Map<string, V>;
  }

  #remove(key: string, member: string): boolean {
    const map = this.#map(key) as Map<string, string | number>;
    const removed = map.delete(member);
    if (map.size === 0 && removed) this.del(key);
    return removed;
  }
}

function copyOf(data: Snapshot): Map<string, Stored> {
  return new Map(
    [...data].map(([key, { value, expiresAt }]) => [
      key,
      {
        value: typeof value === "string" ? value : (new Map(value as Map<string, string>) as Value),
        expiresAt,
      },
    ]),
  );
}
