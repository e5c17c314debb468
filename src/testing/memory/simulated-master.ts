import type { Clock } from "../../clock.ts";
import { type CancelRequest, parseRequest, REQUEST_LIFE } from "../../lock/cancel-operation.ts";
import type { WatchedQueue } from "../../lock/due-operation.ts";
import type { Joining, Serving, ReservationReply } from "../../lock/wait-list-operations.ts";
import type { AcquireReply, KeyHolder, UnarmedGuard } from "../../lock/acquire-operation.ts";
import type { LockIdentity } from "../../lock/lock-identity.ts";
import type { ExtendReply } from "../../lock/extend-operation.ts";
import type { Releasing, ReleaseReply } from "../../lock/release-operation.ts";
import type { Agreement, Arming, GuardState } from "../../lock/arm-operation.ts";
import type { Reading, ReadReply, ScanReply } from "../../lock/read-operation.ts";
import { RESERVATION } from "../../lock/wait-list-script.ts";
import { KEPT, parseStoredLock, RETENTION } from "../../lock/stored-lock.ts";
import { NodeError } from "../../redis/node-error.ts";
import type { Operation } from "../../redis/operation.ts";
import { SimulatedWaitLists } from "./simulated-wait-lists.ts";

interface Stored {
  value: string;
  expiresAt: number;
}

interface Guard {
  server: string;
  state: GuardState["state"];
  armed: number;
  ready: number;
  longest: number;
  agreed: number;
}

function noGuard(): Guard {
  return { server: "", state: "new", armed: 0, ready: 0, longest: 0, agreed: 0 };
}

/** Why a guard gives no vote, if it does not. */
function unarmed(guard: Guard | undefined, server: string): UnarmedGuard | undefined {
  if (guard === undefined) return "absent";
  if (guard.server !== server) return "other";
  return guard.state === "sure" ? undefined : "unsure";
}

type AcquireArgs = LockIdentity & { ttl: number };

/** What a lock master does, in virtual time: the twin of the Lua. */
export class SimulatedMaster {
  readonly #clock: Clock;
  #data = new Map<string, Stored>();
  readonly #channels = new Map<string, Set<(message: string) => void>>();
  readonly #lines: SimulatedWaitLists;
  /** Another one after each promotion. */
  #replicationId = 0;
  #replica = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lines = new SimulatedWaitLists({
      get: (key) => this.get(key),
      set: (key, value, ttl) => this.set(key, value, ttl),
      delete: (key) => this.delete(key),
      rest: (key) => (this.get(key) === undefined ? -2 : this.#ttl(key)),
      now: () => this.#now(),
      publish: (channel, message) => this.#publish(channel, message),
    });
  }

  /** Loses everything, as a restart without persistence does. */
  wipe(): void {
    this.#data = new Map();
  }

  /** What is in memory now. */
  snapshot(): ReadonlyMap<string, Readonly<Stored>> {
    return new Map([...this.#data].map(([key, stored]) => [key, { ...stored }]));
  }

  /** Goes back to an earlier memory. */
  restore(snapshot: ReadonlyMap<string, Readonly<Stored>>): void {
    this.#data = new Map([...snapshot].map(([key, stored]) => [key, { ...stored }]));
  }

  /** Becomes a replica of a server with these data: `REPLICAOF host port`. */
  follow(snapshot: ReadonlyMap<string, Readonly<Stored>>): void {
    this.restore(snapshot);
    this.#replica = true;
  }

  /** Becomes a master again: `REPLICAOF NO ONE`. Neither process nor connections change. */
  promote(): void {
    if (!this.#replica) return;
    this.#replica = false;
    this.#replicationId += 1;
  }

  /** @param server the process, as it names itself. */
  identity(server: string): string {
    return `${server === "" ? "hidden" : server}.${this.#replicationId}`;
  }

  get(key: string): string | undefined {
    const stored = this.#data.get(key);
    if (stored === undefined || stored.expiresAt <= this.#clock.now()) return undefined;
    return stored.value;
  }

  set(key: string, value: string, ttl: number): void {
    this.#data.set(key, { value, expiresAt: this.#clock.now() + ttl });
  }

  delete(key: string): void {
    this.#data.delete(key);
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    const listeners = this.#channels.get(channel) ?? new Set();
    this.#channels.set(channel, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * @param process the server process, as the caller knows it.
   * @throws {NodeError} on a replica.
   */
  execute<A, R>({ name }: Operation<A, R>, args: A, process: string): R {
    if (this.#replica) throw new NodeError("refused", "READONLY this server is a replica");
    const server = this.identity(process);
    const handlers: Record<string, (args: never) => unknown> = {
      arm: (arming: Arming) => this.#arm(arming, server),
      agree: (agreement: Agreement) => this.#agree(agreement, server),
      acquire: (identity: AcquireArgs) => this.#acquire(identity, server),
      extend: (identity: LockIdentity & { ttl: number }) => this.#extend(identity, server),
      release: (releasing: Releasing) => this.#release(releasing),
      join: (joining: Joining) => this.#lines.join(joining),
      serve: (serving: Serving) => this.#lines.serve(serving),
      due: ({ names, queues }: { names: LockIdentity["names"]; queues: readonly WatchedQueue[] }) =>
        this.#lines.due(names, queues),
      cancel: ({ names, ...request }: CancelRequest & { names: LockIdentity["names"] }) => {
        const { key, token, position, by } = request;
        this.set(names.request(key), JSON.stringify([key, token, position, by]), REQUEST_LIFE);
        this.#publish(names.cancelled, JSON.stringify([key, token, position, by]));
      },
      request: ({ names, key }: { names: LockIdentity["names"]; key: string }) =>
        parseRequest(this.get(names.request(key)) ?? ""),
      read: (reading: Reading) => this.#read(reading, server),
      scan: ({ names, pattern }: { names: LockIdentity["names"]; pattern: string }) =>
        this.#scan(names, pattern),
    };
    const handler = handlers[name];
    if (handler === undefined) throw new Error(`no twin of "${name}"`);
    return handler(args as never) as R;
  }

  /** Sets a guard as after the first use of a set: sure, and long out of its quarantine. */
  setArmed(key: string, process: string, longest: number): void {
    const server = this.identity(process);
    this.#setGuard(key, { server, state: "sure", armed: 0, ready: 0, longest, agreed: longest });
  }

  #publish(channel: string, message: string): void {
    for (const tell of this.#channels.get(channel) ?? []) tell(message);
  }

  #arm({ names, quarantine, longestTtl, patience }: Arming, server: string): GuardState {
    const now = this.#now();
    const known = this.#guard(names.guard);
    const guard: Guard = known ?? noGuard();
    if (guard.server !== server) {
      guard.state = known === undefined ? "new" : "forgot";
      [guard.server, guard.armed, guard.ready] = [server, now, now + quarantine];
    } else if (guard.armed > now) {
      [guard.armed, guard.ready] = [now, now + Math.max(0, guard.ready - guard.armed)];
    }
    guard.longest = Math.max(guard.longest, longestTtl);
    if (guard.state !== "sure" || guard.ready > now) {
      guard.ready = Math.max(guard.ready, guard.armed + quarantine);
    }
    if (guard.state !== "sure" && now - guard.armed >= patience) {
      [guard.state, guard.agreed] = ["sure", Math.max(guard.agreed, longestTtl)];
    }
    return this.#setGuard(names.guard, guard);
  }

  #agree({ names, armedAt, agreedTtl, trust }: Agreement, server: string): GuardState {
    const guard = this.#guard(names.guard);
    if (guard?.server !== server || guard.armed !== armedAt) {
      throw new NodeError("refused", "an unknown status OTHER");
    }
    [guard.state, guard.agreed] = ["sure", Math.max(guard.agreed, agreedTtl)];
    if (trust) guard.ready = 0;
    return this.#setGuard(names.guard, guard);
  }

  #acquire(
    { names, keys, owner, token, ttl, holder, guarded, requester }: AcquireArgs,
    server: string,
  ): AcquireReply {
    let remaining = 0;
    let longest = Infinity;
    if (guarded) {
      const guard = this.#guard(names.guard);
      longest = guard?.longest ?? Infinity;
      const why = unarmed(guard, server);
      if (why !== undefined) return { status: "unarmed", guard: why };
      if (guard === undefined || ttl > guard.agreed) return { status: "too long" };
      remaining = Math.max(0, guard.ready - this.#now());
    }
    const fences = keys.map((key) => this.#fence(names.fence(key)));
    const mark = Math.max(...fences.map((fence) => fence.mark));
    let mine = 0;
    const later = keys
      .map((key) => (requester.replaceable ? this.#lines.latest(names, key) : ""))
      .find((latest) => latest > requester.position);
    if (later !== undefined) return { status: "replaced", by: later };
    const holders = keys.flatMap((key, index): KeyHolder[] => {
      const current = this.get(names.lock(key));
      if (current === undefined) {
        const reservation =
          this.#lines.reservationOf(names, key) ?? this.#lines.firstBefore(names, key, requester);
        if (reservation === undefined || reservation.position === requester.position) return [];
        const { position, token: since } = reservation;
        const expiresIn = since === 0 ? RESERVATION : this.#ttl(names.reservation(key));
        return [
          {
            key,
            id: position,
            token: since,
            text: undefined,
            kept: false,
            expiresIn,
            confirmed: false,
            reservation: true,
            ahead: 0,
            waiting: -1,
          },
        ];
      }
      const stored = parseStoredLock(current);
      if (stored.id === owner && stored.token !== undefined) {
        if (stored.token === token) mine += 1;
        return [];
      }
      const closed = fences[index]?.closed ?? 0;
      const confirmed = stored.token !== undefined && closed >= stored.token - 1;
      if (stored.token !== undefined && this.#ttl(names.lock(key)) > longest) {
        this.set(names.lock(key), current, longest);
      }
      const expiresIn = this.#ttl(names.lock(key));
      const later = requester.replaceable
        ? this.#lines.laterHolder(names, key, stored.token, requester.position)
        : {};
      return [
        {
          key,
          expiresIn,
          confirmed,
          reservation: false,
          ahead: 0,
          waiting: -1,
          ...later,
          ...stored,
        },
      ];
    });
    if (holders.length > 0) {
      const { joins, position } = requester;
      if (joins !== undefined && token > mark) {
        for (const { key, expiresIn, later } of holders) {
          if (later === undefined) this.#lines.arrive(names, key, position, joins, expiresIn);
        }
      }
      for (const { key, expiresIn } of token > mark ? holders : []) {
        this.#lines.foresee(names, key, requester, expiresIn);
      }
      const aheadOf = (key: string): number =>
        position === "" ? 0 : this.#lines.ahead(names, key, position);
      const known = holders.map((holder) => ({
        ...holder,
        ahead: aheadOf(holder.key),
        waiting: this.#lines.waitingBeside(names, holder.key, position),
      }));
      return { status: "busy", mark, holders: known };
    }
    const granted: AcquireReply =
      remaining > 0 ? { status: "quarantined", remaining } : { status: "granted" };
    if (mine < keys.length && token <= mark) return { status: "stale", mark };
    for (const [index, key] of keys.entries()) {
      const fence = `${Math.max(token, mark)}:${fences[index]?.closed ?? 0}`;
      this.set(names.fence(key), fence, RETENTION);
      if (requester.position !== "") {
        this.#lines.hold(names, key, token, requester);
        this.#lines.come(names, key, requester.position);
        this.#lines.leaveOnce(names, key, requester.position, requester.run);
      }
      if (mine === keys.length) continue;
      this.set(names.lock(key), `${remaining > 0 ? "q" : ""}${token}:${owner}:${holder}`, ttl);
    }
    return granted;
  }

  #extend(
    { names, keys, owner, token, ttl, guarded, holder }: LockIdentity & { ttl: number },
    server: string,
  ): ExtendReply {
    let quarantined = false;
    const guard = guarded ? this.#guard(names.guard) : undefined;
    const why = guarded ? unarmed(guard, server) : undefined;
    if (guarded) {
      if (guard !== undefined && ttl > guard.agreed) return { status: "too long" };
      quarantined = why !== undefined || (guard?.ready ?? 0) > this.#now();
    }
    let set = false;
    let gone = false;
    for (const key of keys) {
      const current = this.get(names.lock(key));
      if (current === undefined) {
        if (!guarded || this.#fence(names.fence(key)).closed >= token) return { status: "gone" };
        gone = true;
        continue;
      }
      const stored = parseStoredLock(current);
      if (stored.id !== owner || stored.token !== token) return { status: "taken" };
      if (current.startsWith("q")) set = true;
    }
    if (gone && why !== undefined) return { status: "unarmed", guard: why };
    if (gone && quarantined) return { status: "quarantined" };
    for (const key of keys) {
      const name = names.lock(key);
      const value = this.get(name) ?? `${token}:${owner}:${holder}`;
      const strip = !quarantined && value.startsWith("q");
      if (strip || this.#ttl(name) < ttl || this.get(name) === undefined) {
        this.set(name, strip ? value.slice(1) : value, Math.max(this.#ttl(name), ttl));
      }
      const { mark, closed } = this.#fence(names.fence(key));
      const fence = `${Math.max(mark, token)}:${Math.max(closed, token - 1)}`;
      this.set(names.fence(key), fence, RETENTION);
    }
    return { status: quarantined && set ? "quarantined" : "extended" };
  }

  #release(releasing: Releasing): ReleaseReply {
    const { names, keys, owner, token, held, holdFor, skipped, done, requester } = releasing;
    let deleted = 0;
    const reservations = keys.map((key): ReservationReply => {
      const lock = names.lock(key);
      const current = this.get(lock);
      const stored = parseStoredLock(current ?? "");
      let free = current === undefined;
      if (stored.id === owner && stored.token !== undefined && stored.token <= token) {
        deleted += 1;
        free = holdFor === 0;
        if (!held || free) this.delete(lock);
        if (held && free) this.delete(names.reservation(key));
        if (held && !free) {
          this.set(lock, asKept(current ?? ""), holdFor);
          this.#lines.holdsOn(names, key, holdFor);
        }
      }
      const { mark, closed } = this.#fence(names.fence(key));
      const fence = `${Math.max(mark, token)}:${held ? Math.max(closed, token) : closed}`;
      this.set(names.fence(key), fence, RETENTION);
      if (held && requester.position !== "")
        this.#lines.leaveOnce(names, key, requester.position, requester.run);
      if (held && done !== "") this.#lines.succeed(names, key, done);
      const waiting = this.#lines.size(names, key);
      if (!free) return { status: "held", expiresIn: this.#ttl(lock), waiting };
      if (!held) return { status: "nobody", waiting };
      return this.#lines.next(names, key, token, requester, skipped);
    });
    return { deleted, reservations };
  }

  #read({ names, key, from, count }: Reading, server: string): ReadReply {
    const [lock, fence] = [names.lock(key), names.fence(key)];
    const current = this.get(lock);
    const guard = this.#guard(names.guard);
    const why = unarmed(guard, server);
    return {
      guard: why ?? "armed",
      quarantine: why === undefined ? Math.max(0, (guard?.ready ?? 0) - this.#now()) : 0,
      holder:
        current === undefined
          ? undefined
          : { ...parseStoredLock(current), expiresIn: this.#ttl(lock) },
      foreignType: undefined,
      mark: this.#fence(fence).mark,
      waiting: this.#lines.size(names, key),
      first: this.#lines.first(names, key, from, count),
    };
  }

  /** All in one step. */
  #scan(names: LockIdentity["names"], pattern: string): ScanReply {
    const glob = globOf(pattern);
    const found = [names.lock(""), names.waiters("")].flatMap((prefix) =>
      [...this.#data.keys()]
        .filter((name) => name.startsWith(prefix) && this.get(name) !== undefined)
        .map((name) => name.slice(prefix.length)),
    );
    const keys = found.filter((key) => key !== "" && !key.startsWith("@") && glob.test(key));
    return { cursors: { locks: undefined, lines: undefined }, keys };
  }

  #guard(key: string): Guard | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    const [server = "", state, ...numbers] = value.split(":");
    const [armed = 0, ready = 0, longest = 0, agreed = 0] = numbers.map(Number);
    return { server, state: state as Guard["state"], armed, ready, longest, agreed };
  }

  #setGuard(key: string, guard: Guard): GuardState {
    const { server, state, armed, ready, longest, agreed } = guard;
    this.set(key, [server, state, armed, ready, longest, agreed].join(":"), Infinity);
    const now = this.#now();
    return {
      state,
      armedAt: armed,
      age: now - armed,
      remaining: Math.max(0, ready - now),
      longestTtl: longest,
      agreedTtl: agreed,
    };
  }

  /** Whole milliseconds, as the Lua reads them. */
  #now(): number {
    return Math.floor(this.#clock.now());
  }

  #fence(key: string): { mark: number; closed: number } {
    const [mark = 0, closed = 0] = (this.get(key) ?? "0:0").split(":").map(Number);
    return { mark, closed };
  }

  #ttl(key: string): number {
    return (this.#data.get(key)?.expiresAt ?? 0) - this.#clock.now();
  }
}

/** A glob pattern of Redis: `*`, `?`, `[ab]`, `[^ab]`, and a backslash before what stands for itself. */
function globOf(pattern: string): RegExp {
  const parts = pattern.matchAll(/\\([^])|\[(\^?)([^\]]*)\]|([^])/g);
  const source = Array.from(parts, ([, literal, not, set, other = ""]) => {
    if (set !== undefined) return `[${not}${set.replaceAll("\\", "\\\\")}]`;
    if (literal === undefined && other === "*") return "[^]*";
    if (literal === undefined && other === "?") return "[^]";
    return (literal ?? other).replace(/[\\^$.*+?()[\]{}|/]/, "\\$&");
  });
  return new RegExp(`^${source.join("")}$`);
}

/** Marks a value whose holder is done, once. */
function asKept(value: string): string {
  if (parseStoredLock(value).kept) return value;
  return value.replace(/^q?\d+:[\w-]+:/, (head) => head + KEPT);
}
