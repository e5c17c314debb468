import { RETENTION } from "../../lock/stored-lock.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";
import type { WaitList } from "./simulated-wait-lists.ts";

/** The twin of `waiters/newest-lua.ts`: each method mirrors the Lua function of its name. */
export class SimulatedNewest {
  readonly #redis: SimulatedRedis;

  constructor(redis: SimulatedRedis) {
    this.#redis = redis;
  }

  noteNewest({ newest }: WaitList, field: string, value: string): void {
    this.#redis.hset(newest, field, value);
    this.#redis.pexpire(newest, RETENTION);
  }

  noteDone(list: WaitList, position: string): void {
    const done = this.#redis.hget(list.newest, "done") ?? "";
    if (position > done) this.noteNewest(list, "done", position);
  }

  replaceUpTo({ records }: WaitList, position: string): void {
    if (position > (this.#redis.hget(records, "^") ?? "")) this.#redis.hset(records, "^", position);
  }

  latestOf({ records, newest }: WaitList): string {
    const latest = this.#redis.hget(records, "^") ?? "";
    // @protection the newest job that succeeded is remembered
    const done = this.#redis.hget(newest, "done") ?? "";
    return done > latest ? done : latest;
  }

  laterHolder(list: WaitList, token: number | undefined, position: string): string | undefined {
    const held = this.#holder(list, heldField(list));
    const isLater = held !== undefined && held.token === token && held.position > position;
    return isLater ? held.position : undefined;
  }

  noteReleased(list: WaitList, token: number, position: string): void {
    const last = this.#holder(list, "last")?.token ?? 0;
    if (token > last) this.noteNewest(list, "last", `${token}:${position}`);
  }

  forgetGrant(list: WaitList, token: number, position: string): void {
    const held = this.#holder(list, heldField(list));
    const isRolledBack = held?.position === position && held.token <= token;
    if (isRolledBack) this.#redis.hdel(list.newest, heldField(list));
  }

  lastHolders(list: WaitList): readonly (string | undefined)[] {
    return ["last", heldField(list)].map((field) => this.#holder(list, field)?.position);
  }

  #holder(
    { newest }: WaitList,
    field: string,
  ): { readonly token: number; readonly position: string } | undefined {
    const [, token, position = ""] =
      /^(\d+):([^]*)$/.exec(this.#redis.hget(newest, field) ?? "") ?? [];
    return token === undefined ? undefined : { token: Number(token), position };
  }
}

/** The field of the last holder of a slot. */
export function heldField({ slot }: WaitList): string {
  return slot === 0 ? "held" : `held:${slot}`;
}
