import { Redis } from "ioredis";

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
    await this.#client.eval(ENTER, 2, `inside:${entity}`, `token:${entity}`, user, token);
  }

  /** A job has ended its use of the entity. */
  async leave(entity: string, user: string): Promise<void> {
    await this.#client.srem(`inside:${entity}`, user);
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

const ENTER = `
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('INCR', 'entries')
if redis.call('SCARD', KEYS[1]) > 1 then redis.call('INCR', 'overlaps') end
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = tonumber(ARGV[2])
if token > 0 and token <= last then redis.call('INCR', 'inversions') end
redis.call('SET', KEYS[2], ARGV[2])`;
