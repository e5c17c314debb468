import type { UnarmedGuard } from "../../lock/acquire-operation.ts";
import type { Agreement, Arming, GuardState } from "../../lock/arm-operation.ts";
import { NodeError } from "../../redis/node-error.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";

interface Guard {
  server: string;
  state: GuardState["state"];
  armed: number;
  ready: number;
  longest: number;
  agreed: number;
}

/** The twin of the operations on the guard, and of the Lua functions of the same names. */
export class SimulatedGuard {
  readonly #redis: SimulatedRedis;

  constructor(redis: SimulatedRedis) {
    this.#redis = redis;
  }

  guardOf(key: string): Guard | undefined {
    const value = this.#redis.get(key);
    if (value === undefined) return undefined;
    const [server = "", state, ...numbers] = value.split(":");
    const [armed = 0, ready = 0, longest = 0, agreed = 0] = numbers.map(Number);
    return { server, state: state as Guard["state"], armed, ready, longest, agreed };
  }

  /** Milliseconds for which an armed guard gives no vote yet. */
  quarantineOf(guard: Guard | undefined): number {
    return Math.max(0, (guard?.ready ?? 0) - this.#redis.now());
  }

  setGuard(key: string, guard: Guard): GuardState {
    const { server, state, armed, ready, longest, agreed } = guard;
    const value = [server, state, armed, ready, longest, agreed].join(":");
    this.#redis.set(key, value, Infinity);
    const now = this.#redis.now();
    return {
      state,
      armedAt: armed,
      age: now - armed,
      remaining: Math.max(0, ready - now),
      longestTtl: longest,
      agreedTtl: agreed,
    };
  }

  arm({ names, quarantine, longestTtl, patience }: Arming, server: string): GuardState {
    const now = this.#redis.now();
    const known = this.guardOf(names.guard);
    const guard = known ?? { server: "", armed: 0, ready: 0, longest: 0, agreed: 0, state: "new" };
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
    return this.setGuard(names.guard, guard);
  }

  agree({ names, armedAt, agreedTtl, trust }: Agreement, server: string): GuardState {
    const guard = this.guardOf(names.guard);
    if (guard?.server !== server || guard.armed !== armedAt) {
      throw new NodeError("refused", "an unknown status OTHER");
    }
    [guard.state, guard.agreed] = ["sure", Math.max(guard.agreed, agreedTtl)];
    if (trust) guard.ready = 0;
    return this.setGuard(names.guard, guard);
  }
}

/** Why a guard gives no vote, if it does not. */
export function unarmed(guard: Guard | undefined, server: string): UnarmedGuard | undefined {
  if (guard === undefined) return "absent";
  if (guard.server !== server) return "other";
  return guard.state === "sure" ? undefined : "unsure";
}
