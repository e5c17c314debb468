import { Redis } from "ioredis";

/** A time in which a job used an entity, in ms since 1970 by the clock of the resource. */
export interface Use {
  readonly user: string;
  readonly from: number;
  to: number;
}

/**
 * Something that only one job at a time may use, kept in a Redis of its own that knows nothing of locks. It counts
 * who breaks the rule: each step is one script, so that the count is right whatever the users do.
 */
export class Resource {
  readonly #client: Redis;

  constructor(url: string) {
    this.#client = new Redis(url);
  }

  /** A job begins to use the entity. `token` is the fencing token it has, 0 for none. */
  async enter(entity: string, user: string, token: number): Promise<void> {
    const names = [`inside:${entity}`, `token:${entity}`, `uses:${entity}`];
    await this.#client.eval(ENTER, names.length, ...names, user, token);
  }

  /** A job has ended its use of the entity. */
  async leave(entity: string, user: string): Promise<void> {
    await this.#client.eval(LEAVE, 2, `inside:${entity}`, `uses:${entity}`, user);
  }

  /** The process is dead, and uses nothing any more. */
  async bury(pid: number): Promise<void> {
    const entities = (await this.#client.keys("inside:*")).map((name) => name.slice(7));
    for (const entity of entities) {
      const dead = (await this.users(entity)).filter((user) => user.startsWith(`${pid}:`));
      for (const user of dead) await this.leave(entity, user);
    }
  }

  /** All uses of the entity, in order. */
  async uses(entity: string): Promise<Use[]> {
    const uses: Use[] = [];
    for (const line of await this.#client.lrange(`uses:${entity}`, 0, -1)) {
      const [what, at, user = ""] = line.split(" ");
      const last = uses.findLast((use) => use.user === user);
      if (what === "in") uses.push({ user, from: Number(at), to: Infinity });
      else if (last !== undefined) last.to = Number(at);
    }
    return uses;
  }

  /** Milliseconds since 1970, by the resource's clock. */
  async now(): Promise<number> {
    const [seconds, micros] = await this.#client.time();
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  }

  /** Those who are using an entity now. */
  async users(entity: string): Promise<string[]> {
    return await this.#client.smembers(`inside:${entity}`);
  }

  /** What has happened so far. */
  async report(): Promise<{ entries: number; overlaps: number; inversions: number }> {
    const counts = await this.#client.mget("entries", "overlaps", "inversions");
    const [entries = 0, overlaps = 0, inversions = 0] = counts.map(Number);
    return { entries, overlaps, inversions };
  }

  close(): void {
    this.#client.disconnect();
  }
}

const NOTE = `
local function note(uses, what, user)
  local time = redis.call('TIME')
  redis.call('RPUSH', uses, string.format('%s %.0f %s', what, time[1] * 1000 + time[2] / 1000, user))
end`;

const LEAVE = `${NOTE}
if redis.call('SREM', KEYS[1], ARGV[1]) == 1 then note(KEYS[2], 'out', ARGV[1]) end`;

const ENTER = `${NOTE}
note(KEYS[3], 'in', ARGV[1])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('INCR', 'entries')
if redis.call('SCARD', KEYS[1]) > 1 then redis.call('INCR', 'overlaps') end
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = tonumber(ARGV[2])
if token > 0 and token <= last then redis.call('INCR', 'inversions') end
redis.call('SET', KEYS[2], ARGV[2])`;
