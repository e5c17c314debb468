import type { AcquireReply, KeyHolder } from "../../lock/acquire-operation.ts";
import type { ExtendReply } from "../../lock/extend-operation.ts";
import type { TimedIdentity } from "../../lock/lock-identity.ts";
import type { Releasing, ReleaseReply } from "../../lock/release-operation.ts";
import { REPORTED_LIMIT_AGE } from "../../lock/lock-lua.ts";
import { keyOfSlot, numberOfSlot, slotName } from "../../lock/slots.ts";
import { KEPT, parseStoredLock, RETENTION } from "../../lock/stored-lock.ts";
import { type SimulatedGuard, unarmed } from "./simulated-guard.ts";
import type { SimulatedHooks } from "./simulated-hooks.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";
import { noteLimit } from "./simulated-wait-lists.ts";

/** The twins of the operations on locks: `acquire`, `extend` and `release`. */
export class SimulatedLocks {
  readonly #redis: SimulatedRedis;
  readonly #guard: SimulatedGuard;
  readonly #hooks: SimulatedHooks;

  constructor(redis: SimulatedRedis, guard: SimulatedGuard, hooks: SimulatedHooks) {
    this.#redis = redis;
    this.#guard = guard;
    this.#hooks = hooks;
  }

  acquire(
    {
      names,
      keys,
      slots,
      limits,
      owner,
      token,
      ttl,
      holder,
      guarded,
      requester: asking,
    }: TimedIdentity,
    server: string,
  ): AcquireReply {
    const requester = asking.position === "" ? undefined : asking;
    const several = keys.length > 1;
    let remaining = 0;
    let longest = Infinity;
    if (guarded) {
      const guard = this.#guard.guardOf(names.guard);
      const why = unarmed(guard, server);
      if (why !== undefined) return { status: "unarmed", guard: why };
      if (guard === undefined || ttl > guard.agreed) return { status: "too long" };
      longest = guard.longest;
      remaining = this.#guard.quarantineOf(guard);
    }
    const marks = slots.map((slot) => this.marksOf(names.fence(slot)));
    const mark = Math.max(...marks.map((each) => each.mark));
    let mine = 0;
    const conflicts: KeyHolder[] = [];
    for (const [index, slot] of slots.entries()) {
      const key = keys[index] ?? "";
      const lock = names.lock(slot);
      const current = this.#redis.get(lock);
      if (current === undefined) {
        const reserved = this.#hooks.reservedFor(names, slot, requester, several);
        if (reserved !== undefined) {
          const { position: id, token, rest: expiresIn } = reserved;
          const stored = { id, token, text: undefined, kept: false };
          conflicts.push({ ...conflictAt(key, slot), ...stored, expiresIn, reservation: true });
        }
      } else {
        const stored = parseStoredLock(current);
        if (stored.id === owner && stored.token !== undefined) {
          if (stored.token === token) mine += 1;
        } else {
          const { token: held } = stored;
          const beyond = held === undefined ? undefined : (marks[index]?.closed ?? 0) - held;
          const confirmed = beyond === -1 || beyond === 0;
          if (held !== undefined && this.#redis.pttl(lock) > longest) {
            this.#redis.pexpire(lock, longest);
          }
          const expiresIn = this.#redis.pttl(lock);
          conflicts.push({ ...conflictAt(key, slot), ...stored, expiresIn, confirmed });
        }
      }
      const by = requester && this.#hooks.replacedBy(names, slot, requester);
      if (by !== undefined) return { status: "replaced", by };
    }
    if (conflicts.length > 0) {
      const isNew = token > mark;
      const holders = conflicts.map((conflict) => {
        const { key, slot, expiresIn: rest, reservation, token: held } = conflict;
        const limit = limits?.[keys.indexOf(key)] ?? 1;
        const free = limit > 1 ? this.#hooks.freeSlots(names, key, limit, requester, several) : [];
        if (requester === undefined) return { ...conflict, free };
        const known = this.#hooks.onConflict(
          names,
          slotName(key, slot),
          requester,
          reservation ? undefined : held,
          rest,
          isNew && free.length === 0,
          limit,
          token,
        );
        return { ...conflict, free, ...known };
      });
      return { status: "busy", mark, holders };
    }
    if (mine < keys.length && token <= mark) return { status: "stale", mark };
    let differing: { key: string; limit: number } | undefined;
    for (const [index, slot] of slots.entries()) {
      const limit = limits?.[index] ?? 1;
      const fence = `${Math.max(token, mark)}:${marks[index]?.closed ?? 0}`;
      this.#redis.set(names.fence(slot), fence, RETENTION);
      if (mine < keys.length) {
        const value = `${remaining > 0 ? "q" : ""}${token}:${owner}:${holder}`;
        this.#redis.set(names.lock(slot), value, ttl);
      }
      if (requester !== undefined) this.#hooks.onGrant(names, slot, requester, token, limit);
      const key = keys[index] ?? "";
      const other = limit > 1 ? this.#otherLimit(names.limits(key), limit) : undefined;
      if (other !== undefined) differing ??= { key, limit: other };
    }
    if (remaining > 0) return { status: "quarantined", remaining };
    return differing === undefined ? { status: "granted" } : { status: "granted", differing };
  }

  extend(
    { names, slots: keys, limits, owner, token, ttl, guarded, holder, requester }: TimedIdentity,
    server: string,
  ): ExtendReply {
    let quarantined = false;
    const guard = guarded ? this.#guard.guardOf(names.guard) : undefined;
    const why = guarded ? unarmed(guard, server) : undefined;
    if (guarded) {
      if (guard !== undefined && ttl > guard.agreed) return { status: "too long" };
      quarantined = why !== undefined || this.#guard.quarantineOf(guard) > 0;
    }
    let set = false;
    let gone = false;
    const values = keys.map((key) => this.#redis.get(names.lock(key)));
    for (const [index, key] of keys.entries()) {
      const current = values[index];
      if (current !== undefined) {
        const { id, token: held = 0, provisional } = parseStoredLock(current);
        if (id === owner && held === token) set ||= provisional === true;
        else if (provisional !== true) return { status: "taken" };
        else if (!guarded || held > token) return { status: "quarantined" };
        else values[index] = undefined;
      }
      if (values[index] !== undefined) continue;
      if (!guarded || this.marksOf(names.fence(key)).closed >= token) return { status: "gone" };
      gone = true;
    }
    if (gone && why !== undefined) return { status: "unarmed", guard: why };
    for (const [index, key] of keys.entries()) {
      const lock = names.lock(key);
      const current = values[index];
      const rest = this.#redis.pttl(lock);
      const value = `${quarantined ? "q" : ""}${token}:${owner}:${holder}`;
      if (current === undefined) this.#redis.set(lock, value, ttl);
      else if (!quarantined && current.startsWith("q")) {
        this.#redis.set(lock, current.slice(1), Math.max(rest, ttl));
      } else if (rest < ttl) this.#redis.pexpire(lock, ttl);
      this.#raiseMarks(names.fence(key), token, token - 1);
      if (requester.keepsRetries === true) {
        this.#hooks.onExtend(names, key, token, requester.position);
      }
      const limit = limits?.[index] ?? 1;
      if (limit > 1) noteLimit(this.#redis, names.limits(keyOfSlot(key)), limit);
    }
    return { status: quarantined && (set || gone) ? "quarantined" : "extended" };
  }

  release(releasing: Releasing): ReleaseReply {
    const { names, slots: keys, owner, token, held, holdFor } = releasing;
    let deleted = 0;
    const reservations = keys.map((key) => {
      const lock = names.lock(key);
      const current = this.#redis.get(lock);
      const stored = parseStoredLock(current ?? "");
      let free = current === undefined;
      const { mark, closed } = this.marksOf(names.fence(key));
      const isNew = closed < token;
      let isLast = mark <= token;
      if (stored.id === owner && stored.token !== undefined && stored.token <= token) {
        deleted += 1;
        isLast = true;
        free = holdFor === 0;
        if (!held || free) this.#redis.del(lock);
        if (held) this.#redis.del(names.reservation(key));
        if (held && !free) {
          this.#redis.set(lock, asKept(current ?? ""), holdFor);
          this.#hooks.onHold(names, key, holdFor);
        }
      }
      this.#raiseMarks(names.fence(key), token, held ? token : 0);
      const rest = free ? undefined : this.#redis.pttl(lock);
      const order = { isLast, isNew };
      const reply = this.#hooks.onRelease(names, key, token, held, releasing, rest, order);
      return reply ?? { status: "free" as const, waiting: 0 };
    });
    return { deleted, reservations };
  }

  marksOf(key: string): { mark: number; closed: number } {
    // @protection marks outlive locks
    const [mark = 0, closed = 0] = (this.#redis.get(key) ?? "0:0").split(":").map(Number);
    return { mark, closed };
  }

  #otherLimit(limits: string, limit: number): number | undefined {
    const now = this.#redis.now();
    const known = this.#redis.zrange(limits);
    noteLimit(this.#redis, limits, limit);
    const others = known.flatMap(([other, at]) =>
      at > now - REPORTED_LIMIT_AGE ? Number(other) : [],
    );
    const largest = Math.max(0, ...others.filter((other) => other !== limit));
    return largest === 0 ? undefined : largest;
  }

  #raiseMarks(key: string, token: number, below: number): void {
    const { mark, closed } = this.marksOf(key);
    this.#redis.set(key, `${Math.max(mark, token)}:${Math.max(closed, below)}`, RETENTION);
  }
}

/** A conflict before anything is known of it. */
function conflictAt(
  key: string,
  slot: string,
): Omit<KeyHolder, "id" | "token" | "text" | "kept" | "expiresIn"> {
  const known = { confirmed: false, reservation: false, ahead: 0, waiting: -1 };
  return { key, slot: numberOfSlot(slot), free: [], ...known };
}

/** Marks the value of a holder that is done, once. */
function asKept(value: string): string {
  if (parseStoredLock(value).kept) return value;
  return value.replace(/^q?\d+:[\w-]+:/, (head) => head + KEPT);
}
