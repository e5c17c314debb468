import { Redis } from "ioredis";
import { setTimeout as delay } from "node:timers/promises";

/** How long a deposit takes between reading the balance and writing it, in ms. */
export const WORK = 20;

/** KEYS: the tally, the deposits under way per account. ARGV: the accounts. */
const ENTER = `
local function raise(field, value)
  if value > tonumber(redis.call("HGET", KEYS[1], field) or 0) then
    redis.call("HSET", KEYS[1], field, value)
  end
end
raise("peak", redis.call("HINCRBY", KEYS[1], "inside", 1))
for _, account in ipairs(ARGV) do
  local here = redis.call("HINCRBY", KEYS[2], account, 1)
  raise("peakOfOne", here)
  if here > 1 then redis.call("HINCRBY", KEYS[1], "overlaps", 1) end
end
`;

/** KEYS: the tally, the deposits under way and the finished deposits per account. ARGV: the accounts. */
const LEAVE = `
redis.call("HINCRBY", KEYS[1], "inside", -1)
for _, account in ipairs(ARGV) do
  redis.call("HINCRBY", KEYS[2], account, -1)
  redis.call("HINCRBY", KEYS[3], account, 1)
end
`;

/** What the bank observed, independent of the queue and the lock. */
export interface Audit {
  /** The largest number of deposits under way at once, in all accounts. */
  peak: number;
  /** The largest number of deposits under way at once in one account. */
  peakOfOne: number;
  /** Deposits that started while another one was under way in the same account. */
  overlaps: number;
  /** Deposits missing from a balance, because another deposit overwrote them. */
  lost: number;
  accounts: number;
  busiest: { account: string; deposits: number };
}

/**
 * Accounts in a Redis, as careless programs store them: a deposit reads the balance, works for a while, and writes the
 * balance. The bank has no locks, and counts the deposits that overlap.
 */
export class Bank {
  readonly #redis: Redis;
  readonly #keys: Record<"tally" | "inside" | "deposits" | "balances", string>;

  constructor(redis: Redis, name: string) {
    this.#redis = redis;
    const key = (part: string): string => `bank:${name}:${part}`;
    this.#keys = {
      tally: key("tally"),
      inside: key("inside"),
      deposits: key("deposits"),
      balances: key("balances"),
    };
  }

  /** Adds 1 to each of the accounts. */
  async deposit(accounts: readonly string[]): Promise<void> {
    // A job without a lock belongs to no account.
    if (accounts.length === 0) return await delay(WORK);
    const { tally, inside, deposits, balances } = this.#keys;
    await this.#redis.eval(ENTER, 2, tally, inside, ...accounts);
    const found = await this.#redis.hmget(balances, ...accounts);
    await delay(WORK);
    const written = accounts.map((account, index) => [account, Number(found[index]) + 1]);
    await this.#redis.hset(balances, ...written.flat());
    await this.#redis.eval(LEAVE, 3, tally, inside, deposits, ...accounts);
  }

  /** Counts deposits, overlaps and lost updates. */
  async audit(): Promise<Audit> {
    const tally = await this.#redis.hgetall(this.#keys.tally);
    const deposits = Object.entries(await this.#redis.hgetall(this.#keys.deposits));
    const made = sum(deposits.map(([, count]) => count));
    const kept = sum(await this.#redis.hvals(this.#keys.balances));
    let busiest = { account: "", deposits: 0 };
    for (const [account, count] of deposits)
      if (Number(count) > busiest.deposits) busiest = { account, deposits: Number(count) };
    return {
      peak: Number(tally.peak ?? 0),
      peakOfOne: Number(tally.peakOfOne ?? 0),
      overlaps: Number(tally.overlaps ?? 0),
      lost: made - kept,
      accounts: deposits.length,
      busiest,
    };
  }
}

/** Audits a bank over a separate connection. */
export async function auditBank(url: string, name: string): Promise<Audit> {
  const redis = new Redis(url);
  // A failing command throws by itself.
  redis.on("error", () => undefined);
  try {
    return await new Bank(redis, name).audit();
  } finally {
    redis.disconnect();
  }
}

function sum(counts: readonly string[]): number {
  return counts.reduce((total, count) => total + Number(count), 0);
}
