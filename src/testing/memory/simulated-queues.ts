import type { Names } from "../../lock/stored-lock.ts";
import type { SkippedQueue } from "../../lock/wait-list-hooks.ts";
import { LONGEST_PAUSE, SHORTEST_PAUSE, WAIT_LIST_RETENTION } from "../../waiters/queues-lua.ts";
import { queueIdIn } from "../../waiters/waiter.ts";
import type { SimulatedRedis } from "./simulated-redis.ts";

/** The twin of `waiters/queues-lua.ts`: each method mirrors the Lua function of its name. */
export class SimulatedQueues {
  readonly #redis: SimulatedRedis;

  constructor(redis: SimulatedRedis) {
    this.#redis = redis;
  }

  noteQueue({ queues }: Names, queueId: string, note: string): void {
    this.#redis.hset(queues, queueId, note);
    this.#redis.pexpire(queues, WAIT_LIST_RETENTION);
  }

  processOf({ queues }: Names, queueId: string): string | undefined {
    return this.#redis.hget(queues, `@${queueId}`);
  }

  noteServed(names: Names, position: string): void {
    this.noteQueue(names, queueIdIn(position), `+${this.#redis.now()}`);
  }

  skippedOf({ queues }: Names, reported: readonly SkippedQueue[]): Set<string> {
    const skipped = new Set<string>();
    for (const { queueId, age } of reported) {
      const [, servedAt] = /^\+(\d+)$/.exec(this.#redis.hget(queues, queueId) ?? "") ?? [];
      const since = this.#redis.now() - Math.ceil(age);
      if (servedAt === undefined || Number(servedAt) < since) skipped.add(queueId);
    }
    return skipped;
  }

  pauseOf({ queues }: Names, queueId: string): { ends: number; pause: number } {
    const [, ends = 0, pause = SHORTEST_PAUSE / 2] =
      /^(\d+):(\d+)$/.exec(this.#redis.hget(queues, queueId) ?? "") ?? [];
    return { ends: Number(ends), pause: Number(pause) };
  }

  skipQueue(names: Names, queueId: string): void {
    const { ends, pause: before } = this.pauseOf(names, queueId);
    const now = this.#redis.now();
    if (ends > now) return;
    const pause = Math.min(2 * before, LONGEST_PAUSE);
    this.noteQueue(names, queueId, `${now + pause}:${pause}`);
  }

  setDue(names: Names, key: string, position: string, record: string, ms: number): void {
    if (record.startsWith("l")) return;
    const due = names.due(queueIdIn(position));
    const at = Math.round(this.#redis.now() + ms);
    this.#redis.zadd(due, key, Math.min(this.#redis.zscore(due, key) ?? at, at));
    this.#redis.pexpire(due, WAIT_LIST_RETENTION);
  }
}
