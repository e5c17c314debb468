import { describe, expect, it, onTestFinished } from "vitest";
import {
  type KeyInspection,
  type Lock,
  LockConflictError,
  Redlock,
  type RedlockEvents,
} from "../../src/index.ts";
import { simulate } from "../support/simulated-redlock.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";

const servers = useRedisNodes(3);

function client(): Redlock {
  return new Redlock(servers.redlockOptions);
}

type Data<E extends keyof RedlockEvents> = RedlockEvents[E][0];

describe("the oldest holder", () => {
  it("is the one with the smallest token when several have the same age", async () => {
    const { clock, redlock } = simulate(3);
    let twins = 0;
    for (const key of Array.from({ length: 20 }, (_, index) => `k${index}`)) {
      const acquiring = Array.from({ length: 3 }, () => redlock.acquire(key, { limit: 3 }));
      await clock.until(Promise.all(acquiring));
      const { holders } = await clock.until(redlock.inspect(key));
      for (const [index, { since, fencingToken }] of holders.slice(1).entries()) {
        if (holders[index]!.since !== since) continue;
        twins += 1;
        expect(fencingToken).toBeGreaterThan(holders[index]!.fencingToken!);
      }
    }
    expect(twins).toBeGreaterThan(10);
    await clock.until(redlock.close());
  });
});

describe("events of a key with a limit", () => {
  it("name the slot that was acquired, extended, released and lost", async () => {
    const { clock, nodes, redlock } = simulate(3, { ttl: 2_000, nodeTimeout: 100 });
    const seen: [string, number | undefined, readonly number[] | undefined][] = [];
    for (const event of ["acquired", "extended", "released", "lost"] as const) {
      redlock.on(event, ({ slot, slots }: Data<typeof event>) => seen.push([event, slot, slots]));
    }
    const first = await clock.until(redlock.acquire("k", { limit: 2 }));
    const second = await clock.until(redlock.acquire(["j", { key: "k", limit: 2 }]));
    expect(first.slot).not.toBe(second.slots[1]);
    await clock.until(second.extend());
    await clock.until(second.release());
    const name = first.slot === 0 ? "redlock:k" : "redlock:@slot:1:k";
    for (const { master } of nodes) master.set(name, "9000000000000000:other:", 5_000);
    await clock.until(first.extend().catch(() => undefined));
    const of1 = [first.slot, first.slots] as const;
    const of2 = [second.slot, second.slots] as const;
    expect(seen).toEqual([
      ["acquired", ...of1],
      ["acquired", ...of2],
      ["extended", ...of2],
      ["released", ...of2],
      ["lost", ...of1],
    ]);
    await clock.until(redlock.close());
  });

  it("are what they were where no key has one", async () => {
    const { clock, redlock } = simulate(3, { ttl: 2_000, nodeTimeout: 100 });
    const seen: object[] = [];
    redlock.on("acquired", (data) => seen.push(data)).on("released", (data) => seen.push(data));
    redlock.on("conflict", (data) => seen.push(data, data.holder ?? {}));
    const lock = await clock.until(redlock.acquire("k", { limit: 1 }));
    await clock.until(redlock.tryAcquire("k"));
    await clock.until(lock.release());
    expect(seen).toHaveLength(4);
    for (const data of seen) {
      for (const name of ["slot", "slots", "limit"]) expect(data).not.toHaveProperty(name);
    }
    await clock.until(redlock.close());
  });

  it("of a conflict name the limit, and the slot of the holder that was met", async () => {
    const { clock, redlock } = simulate(3, { ttl: 2_000, nodeTimeout: 100 });
    const conflicts: Data<"conflict">[] = [];
    redlock.on("conflict", (conflict) => conflicts.push(conflict));
    const locks = [
      await clock.until(redlock.acquire("account:42", { limit: 2, holder: "worker" })),
      await clock.until(redlock.acquire("account:42", { limit: 2, holder: "worker" })),
    ];
    const failed = redlock.acquire("account:42", { limit: 2 }).catch((error: unknown) => error);
    const error = (await clock.until(failed)) as LockConflictError;
    expect(error).toBeInstanceOf(LockConflictError);
    const slot = error.holder?.slot;
    expect(error.message).toMatch(
      new RegExp(
        `^"account:42" has 2 of 2 slots taken, slot ${slot} by worker; it expires in \\d+ ms unless extended$`,
      ),
    );
    const met = locks.find((lock) => lock.slot === slot);
    expect(error.holder?.fencingToken).toBe(met?.fencingToken);
    expect(conflicts).toMatchObject([{ key: "account:42", limit: 2, holder: { slot } }]);
    await clock.until(redlock.close());
  });

  it("of a reserved slot say so", () => {
    const conflict = { keys: ["k"], key: "k", holder: undefined, retryAfter: 300, ahead: 0 };
    expect(new LockConflictError({ ...conflict, limit: 3, reserved: true }).message).toBe(
      '"k" has 3 of 3 slots taken, one of them reserved for the first waiter, for 300 ms at most',
    );
    const holder = { text: "job a", fencingToken: 7, since: 1, slot: 2, kept: true } as const;
    expect(new LockConflictError({ ...conflict, limit: 3, holder }).message).toBe(
      '"k" has 3 of 3 slots taken, slot 2 by job a, which is done; minHold keeps it for 300 ms',
    );
    expect(new LockConflictError({ ...conflict, limit: 3 }).message).toBe(
      '"k" is held by several contenders, none with a quorum; their parts expire within 300 ms',
    );
  });
});

describe("clients with different limits for a key", () => {
  it("each emit one warning, with the key and the limit of the other", async () => {
    const [three, five] = [client(), client()];
    const warnings: { of: string; code: string; message: string }[] = [];
    three.on("warning", ({ code, message }) => warnings.push({ of: "three", code, message }));
    five.on("warning", ({ code, message }) => warnings.push({ of: "five", code, message }));
    const limited = () => warnings.filter(({ code }) => code === "limit");
    await three.acquire("account:42", { limit: 3 });
    expect(limited()).toEqual([]);
    // Released: five may have taken the two other slots that three may take.
    for (let i = 0; i < 2; i++) await (await five.acquire("account:42", { limit: 5 })).release();
    await three.acquire("account:42", { limit: 3 });
    await three.acquire("account:43", { limit: 3 });
    await five.acquire("account:43", { limit: 5 });
    expect(limited()).toMatchObject([{ of: "five" }, { of: "three" }]);
    expect(limited()[0]?.message).toMatch(
      /^"account:42": another limit was used for it in the last minute: 3\./,
    );
    expect(limited()[1]?.message).toMatch(
      /^"account:42": another limit was used for it in the last minute: 5\./,
    );
    await Promise.all([three.close(), five.close()]);
  });
});

describe("inspect of a key with a limit", () => {
  it("reports all holders with their slots, and locked when all slots are taken", async () => {
    const redlock = client();
    onTestFinished(async () => await redlock.close());
    expect(await redlock.inspect("k")).toMatchObject({ limit: 1, locked: false, holders: [] });
    const held: Lock[] = [];
    for (const holder of ["a", "b"]) held.push(await redlock.acquire("k", { limit: 3, holder }));
    const two = await redlock.inspect("k");
    expect(two).toMatchObject({ limit: 3, locked: false, holder: { text: "a" } });
    expect(two.holders.map(({ text, slot }) => [text, slot])).toEqual(
      held.map(({ slot }, index) => [["a", "b"][index], slot]),
    );
    expect(two.slots?.map(({ slot }) => slot)).toEqual(
      held.map(({ slot }) => slot).toSorted((a, b) => a - b),
    );
    for (const { locked, nodes } of two.slots ?? []) {
      expect(locked).toBe(true);
      expect(nodes.map(({ state }) => state)).toEqual(["held", "held", "held"]);
    }
    expect(await redlock.isLocked("k")).toBe(false);
    held.push(await redlock.acquire("k", { limit: 3 }));
    expect(await redlock.isLocked("k")).toBe(true);
    for (const lock of held) await lock.release();
    const none = await redlock.inspect("k");
    expect(none).toMatchObject({ limit: 3, locked: false, holder: undefined, slots: [] });
  });

  it("asks each master once more than for another key", async () => {
    const { clock, nodes, redlock } = simulate(3, { ttl: 2_000, nodeTimeout: 100 });
    await clock.until(redlock.acquire("one"));
    await clock.until(redlock.acquire("three", { limit: 3 }));
    for (const node of nodes) node.sent.length = 0;
    await clock.until(redlock.inspect("one"));
    expect(nodes.map(({ sent }) => sent)).toEqual(nodes.map(() => ["read"]));
    await clock.until(redlock.inspect("three"));
    expect(nodes.map(({ sent }) => sent)).toEqual(nodes.map(() => ["read", "read", "read slots"]));
    await clock.until(redlock.close());
  });

  it("goes by the limit of the last minute, and shows holders above it", async () => {
    const { clock, redlock } = simulate(3, { ttl: 4_000, heartbeat: false, nodeTimeout: 100 });
    const old = await clock.until(redlock.acquire("k", { limit: 2, ttl: 4_000 }));
    const others = [];
    for (let i = 0; i < 3; i++) {
      others.push(await clock.until(redlock.acquire("k", { limit: 4 })));
    }
    expect(await clock.until(redlock.inspect("k"))).toMatchObject({ limit: 4, locked: true });
    await clock.until(Promise.all(others.map((lock) => lock.release())));
    await clock.until(old.release());
    await clock.pass(61_000);
    await clock.until(redlock.acquire("k", { limit: 2 }));
    expect(await clock.until(redlock.inspect("k"))).toMatchObject({ limit: 2, locked: false });
    await clock.until(redlock.close());
  });

  it("shows a holder for as long as it extends, also after the masters' hour", async () => {
    const { clock, nodes, redlock } = simulate(3, { ttl: 60_000, nodeTimeout: 100 });
    await clock.until(redlock.acquire("k", { limit: 2 }));
    await clock.until(redlock.acquire("k", { limit: 2 }));
    await clock.pass(2 * 3_600_000);
    // As after a restart without persistence: the next extend stores everything again.
    for (const { master } of nodes) master.delete("redlock:@limits:k");
    await clock.pass(60_000);
    const { limit, locked, holders } = await clock.until(redlock.inspect("k"));
    expect([limit, locked, holders.length]).toEqual([2, true, 2]);
    await clock.until(redlock.close());
  });
});

describe("the lists of keys", () => {
  it("name a key that is held only in slots above 0, once, and match its name", async () => {
    const redlock = client();
    onTestFinished(async () => await redlock.close());
    const held: Lock[] = [];
    for (let i = 0; i < 3; i++) held.push(await redlock.acquire("account:42", { limit: 3 }));
    await held.find(({ slot }) => slot === 0)?.release();
    for (let i = 0; i < 2; i++) await redlock.acquire({ key: "x:account:1", limit: 2 });
    for (const pattern of ["*", "account:*", "*4?"]) {
      const keys: string[] = [];
      for await (const { key } of redlock.keys(pattern)) keys.push(key);
      expect(keys.filter((key) => key === "account:42")).toHaveLength(1);
      expect(keys.includes("x:account:1")).toBe(pattern === "*");
    }
    const listed: KeyInspection[] = [];
    for await (const each of redlock.list("account:*")) listed.push(each);
    expect(listed).toMatchObject([{ key: "account:42", limit: 3, locked: false }]);
    expect(listed[0]?.holders).toHaveLength(2);
  });
});

it.each([undefined, 2])("a value that never expires is said to, with limit %s", async (limit) => {
  const redlock = client();
  const clients = redisClients(servers);
  onTestFinished(async () => {
    await redlock.close();
    await Promise.all(clients.map((each) => each.del("redlock:k", "redlock:@slot:1:k")));
  });
  await Promise.all(clients.map((each) => each.mset("redlock:k", "x", "redlock:@slot:1:k", "y")));
  const error = await redlock.acquire("k", { ttl: 3_000, ...(limit && { limit }) }).catch(String);
  expect(error).toMatch(/another program; the value never expires; delete it/);
  expect(error).not.toMatch(/ms/);
  redlock.once("conflict", (conflict) => {
    expect(conflict).toMatchObject({ persistent: true, retryAfter: 3_000 });
  });
  expect(await redlock.tryAcquire("k", { ttl: 3_000 })).toBeNull();
  expect.assertions(4);
});
