import fc from "fast-check";
import { expect, it } from "vitest";
import { acquireOperation } from "../../src/lock/acquire-operation.ts";
import { agreeOperation, armOperation } from "../../src/lock/arm-operation.ts";
import type { LockIdentity } from "../../src/lock/lock-identity.ts";
import { extendOperation } from "../../src/lock/extend-operation.ts";
import { joinOperation } from "../../src/waiters/join-operation.ts";
import { serveOperation } from "../../src/waiters/serve-operation.ts";
import { LIVE_RESERVATION, RESERVATION } from "../../src/waiters/reservations-lua.ts";
import { lockScript } from "../../src/waiters/script.ts";
import { releaseOperation } from "../../src/lock/release-operation.ts";
import { namesUnder, RETENTION } from "../../src/lock/stored-lock.ts";
import { Batch } from "../../src/redis/batch.ts";
import { NodeError } from "../../src/redis/node-error.ts";
import { type AnyRequest, Request } from "../../src/redis/operation.ts";
import { Script } from "../../src/redis/script.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";

const servers = useRedisNodes(1);
const names = namesUnder("redlock:");
const KEYS = ["a", "b", "c", "d", "e", "f"] as const;
const OWNERS = ["one", "two"] as const;
const FIRST_TOKEN = 1_790_000_000_000_000;
const TTLS = [5_000, 20_000, 70_000] as const;

/** A Redis command before a batch that gets in its way. */
type Disturbance = readonly [string, ...string[]];

const key = fc.constantFrom(...KEYS);
const token = fc.integer({ min: 0, max: 400 }).map((n) => FIRST_TOKEN + 2 * n);
const POSITIONS = ["1000000000001:q:7", "1000000000002:q:8"] as const;

/** One of two values, the other one in twenty. */
function rarely<T>(one: T, other: T): fc.Arbitrary<T> {
  return fc.integer({ min: 1, max: 20 }).map((n) => (n === 1 ? one : other));
}

/** Makes a request of what was asked for before. */
type Plan = (past: LockIdentity[], now: number) => AnyRequest;

/** Mostly one of the last requests. */
const recent = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 1, arbitrary: fc.integer({ min: 7, max: 40 }) },
);
const ttl = fc.constantFrom(...TTLS);
const acquires: fc.Arbitrary<Plan> = fc
  .record({
    one: key,
    owner: fc.constantFrom(...OWNERS),
    above: fc.constantFrom(1, 1, 1, 1, 0, -3),
    position: fc.constantFrom("", "", ...POSITIONS),
    joins: fc.boolean(),
    replaceable: rarely(true, false),
    ms: ttl,
  })
  .map(({ one, owner, above, position, joins, replaceable, ms }) => (past, now) => {
    const identity = identityOf(one, owner, FIRST_TOKEN + 2 * (now + above), {
      position,
      joins: position !== "" && joins,
      replaceable: position !== "" && replaceable,
    });
    past.unshift(identity);
    return requestOf(acquireOperation, { ...identity, ttl: ms });
  });
const again =
  (make: (identity: LockIdentity) => AnyRequest, nth: number): Plan =>
  (past) =>
    make(past[nth % past.length]!);
const plan: fc.Arbitrary<Plan> = fc.oneof(
  { weight: 10, arbitrary: acquires },
  {
    weight: 1,
    arbitrary: fc
      .tuple(recent, ttl)
      .map(([n, ms]) =>
        again((identity) => requestOf(acquireOperation, { ...identity, ttl: ms }), n),
      ),
  },
  {
    weight: 6,
    arbitrary: fc
      .tuple(recent, ttl)
      .map(([n, ms]) =>
        again((identity) => requestOf(extendOperation, { ...identity, ttl: ms }), n),
      ),
  },
  {
    weight: 9,
    arbitrary: fc
      .tuple(recent, rarely(false, true), rarely(900, 0))
      .map(([n, held, holdFor]) =>
        again(
          (identity) =>
            requestOf(releaseOperation, { ...identity, held, holdFor, skipped: [], done: "" }),
          n,
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(key, fc.constantFrom(...POSITIONS)).map(
      ([one, position]) =>
        () =>
          requestOf(joinOperation, {
            names,
            keys: [one],
            limits: [1],
            newcomers: [{ position, priority: 0, record: "p1@here", replaces: false }],
            process: "here",
            live: false,
          }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(key, token).map(
      ([one, reservation]) =>
        () =>
          requestOf(serveOperation, {
            names,
            key: one,
            token: reservation,
            process: "here",
            position: "",
            record: "",
            wakes: false,
            life: 2_000,
            live: false,
            gone: [],
            skipped: [],
          }),
    ),
  },
);
const disturbance: fc.Arbitrary<Disturbance | undefined> = fc.oneof(
  { weight: 60, arbitrary: fc.constant(undefined) },
  {
    weight: 1,
    arbitrary: key.map((k) => ["SET", names.lock(k), "a foreign value", "PX", "60000"] as const),
  },
  { weight: 1, arbitrary: key.map((k) => ["SET", names.lock(k), "a foreign value"] as const) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        key,
        fc.constantFrom("lock", "fence", "reservation", "waiters") as fc.Arbitrary<"lock">,
      )
      .map(
        ([k, what]) =>
          [
            "EVAL",
            "redis.call('DEL', KEYS[1]) return redis.call('LPUSH', KEYS[1], 'x')",
            "1",
            names[what](k),
          ] as const,
      ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        key,
        fc.constantFrom("lock", "fence", "reservation", "waiters") as fc.Arbitrary<"lock">,
      )
      .map(([k, what]) => ["DEL", names[what](k)] as const),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(key, token, token)
      .map(
        ([k, mark, closed]) =>
          [
            "SET",
            names.fence(k),
            `${mark}:${Math.min(mark, closed)}`,
            "PX",
            String(RETENTION),
          ] as const,
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(key, token)
      .map(
        ([k, t]) => ["SET", names.reservation(k), `${t}:1000000000001:q:7`, "PX", "60000"] as const,
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(key, token, fc.constantFrom(...OWNERS))
      .map(([k, t, o]) => ["SET", names.lock(k), `q${t}:${o}:job of ${o}`, "PX", "30000"] as const),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Disturbance[]>(
      ["DEL", names.guard],
      ["SET", names.guard, "another:sure:1:0:60000:60000"],
    ),
  },
);
const step = fc.record({ disturbance, batch: fc.array(plan, { minLength: 1, maxLength: 6 }) });

/** Batches of each seed; `STEPS=10000 SEEDS=10 npx vitest run test/lock/fast-path.test.ts` runs more. */
const STEPS = Number(process.env.STEPS ?? 1_000);
const SEEDS = Array.from({ length: Number(process.env.SEEDS ?? 2) }, (_, seed) => seed);

it.each(SEEDS)(
  "the fast path decides and stores as the general part does: seed %i",
  async (seed) => {
    const client = redisClient(servers.urls[0]!);
    const script = new Script({ ...lockScript, source: lockScript.source.replaceAll(SHORT, LONG) });
    await script.load(client);
    let served = 0;
    let calls = 0;
    let known = "run";

    /** A batch on a database of its own. */
    const execute = async (db: number, batch: Batch): Promise<unknown[]> => {
      await client.select(db);
      // Only the first database has calls that return what is known.
      const returned = await script.run(client, batch, db === 0 ? known : "run", () => true);
      if (typeof returned === "string") known = returned;
      calls += batch.requests.length;
      const [odd] = Array.isArray(returned) ? (returned as [unknown[]]) : [[]];
      // Without an odd entry and another request, no table.
      const isPlain = batch.entries === batch.requests.length && odd.length === 0;
      expect(Array.isArray(returned)).toBe(!isPlain);
      if (batch.entries > 0) served += batch.entries - odd.length / 2;
      return (batch.replies(returned) ?? batch.served).map((reply) =>
        reply instanceof NodeError ? reply.reason.replace(/ script: \w+.*$/, "") : reply,
      );
    };

    const steps = fc.sample(step, { numRuns: STEPS, seed });
    const arming = { names, quarantine: 0, longestTtl: 60_000, patience: 0 };
    /** The latest first. */
    const past: LockIdentity[] = [identityOf("a", "one", FIRST_TOKEN, NO_WAITER)];
    for (const [index, { disturbance: command, batch }] of steps.entries()) {
      if (index % 25 === 0) {
        await client.flushall();
        for (const db of [0, 1]) {
          const [guard] = (await execute(db, new Batch([requestOf(armOperation, arming)]))) as [
            { armedAt: number },
          ];
          const agreement = { names, armedAt: guard.armedAt, agreedTtl: 60_000, trust: true };
          await execute(db, new Batch([requestOf(agreeOperation, agreement)]));
        }
      }
      if (command !== undefined) {
        await both(async (db) => {
          await client.select(db);
          await client.call(...(command as [string])).catch(() => {});
          // As the script does with every reservation and wait list.
          if (/^(SET|EVAL).*@(reserved|waiters):/.test(command.join(" "))) {
            await client.set(names.waiting, "1", "PX", 900_000);
          }
        });
      }
      const started = batch.map((make) => make(past, index));
      const fast = new Batch(started, lockScript.fastPath);
      const general = new Batch(fast.requests);
      const [fastReplies, generalReplies] = [await execute(0, fast), await execute(1, general)];
      expectLike(fastReplies, generalReplies, `step ${index}`);
      const [here, there] = await both((db) => dump(db));
      expectLike(here, there, `step ${index}`);
    }
    process.stdout.write(`fast path: ${served} of ${calls / 2} calls served\n`);
    expect(served).toBeGreaterThan(STEPS / 6);

    /** All that is stored, with what is left of ttls. */
    async function dump(db: number): Promise<unknown> {
      await client.select(db);
      return JSON.parse((await client.eval(DUMP, 0)) as string);
    }
  },
  600_000,
);

/** Reservations last: on a busy machine they must not end between the two executions of a batch. */
const SHORT = new RegExp(`\\b(${LIVE_RESERVATION}|${RESERVATION})\\b`, "g");
const LONG = "100000";

const DUMP = `
local all = {}
local keys = redis.call('KEYS', '*')
table.sort(keys)
for _, key in ipairs(keys) do
  local type, value = redis.call('TYPE', key).ok, nil
  if type == 'string' then value = redis.call('GET', key)
  elseif type == 'zset' then value = redis.call('ZRANGE', key, 0, -1)
  else value = type end
  if string.find(key, '@due:') or string.find(key, '@node') then value = '' end
  all[#all + 1] = { key = key, value = value, expiresIn = redis.call('PTTL', key) }
end
return cjson.encode(all)`;

function requestOf<A, R>(
  operation: { readonly name: string } & ConstructorParameters<typeof Request<A, R>>[0],
  args: A,
): AnyRequest {
  return new Request(operation, args);
}

const NO_WAITER = { position: "", joins: false, replaceable: false };

function identityOf(
  one: string,
  owner: string,
  proposed: number,
  { position, joins, replaceable }: typeof NO_WAITER,
): LockIdentity {
  const requester = {
    process: "here",
    queueId: "q",
    position,
    run: 1,
    replaceable,
    joins: joins ? { priority: 0, record: "a1@here", replaces: false } : undefined,
  };
  return {
    names,
    keys: [one],
    slots: [one],
    limits: undefined,
    owner,
    token: proposed,
    holder: `job of ${owner}`,
    guarded: true,
    requester,
  };
}

async function both(run: (db: number) => Promise<unknown>): Promise<unknown[]> {
  return [await run(0), await run(1)];
}

/** Equal but for what is left of ttls, which differs by the time between the two. */
function expectLike(one: unknown, other: unknown, message: string): void {
  const times: number[][] = [];
  const [here, there] = [one, other].map((side) => {
    const own: number[] = [];
    times.push(own);
    return JSON.stringify(side, (name, value: unknown) => {
      if (name !== "expiresIn" && name !== "remaining") return value;
      own.push(Number(value));
      return "time";
    });
  });
  expect(here, message).toBe(there);
  for (const [at, time] of times[0]!.entries()) {
    expect(Math.abs(time - times[1]![at]!), message).toBeLessThan(3_000);
  }
}
