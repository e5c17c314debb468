import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { acquireOperation, type AcquireReply } from "../../src/lock/acquire-operation.ts";
import type { LockIdentity } from "../../src/lock/lock-identity.ts";
import { extendOperation } from "../../src/lock/extend-operation.ts";
import { releaseOperation } from "../../src/lock/release-operation.ts";
import { agreeOperation, armOperation } from "../../src/lock/arm-operation.ts";
import { dueOperation } from "../../src/waiters/due-operation.ts";
import { joinOperation } from "../../src/waiters/join-operation.ts";
import { moveOperation } from "../../src/waiters/move-operation.ts";
import { pageOperation, sizesOperation } from "../../src/waiters/repair-operations.ts";
import { serveOperation } from "../../src/waiters/serve-operation.ts";
import { readOperation } from "../../src/lock/read-operation.ts";
import { readSlotsOperation } from "../../src/lock/read-slots-operation.ts";
import { SCAN_START, scanOperation } from "../../src/lock/scan-operation.ts";
import { namesUnder, parseStoredLock } from "../../src/lock/stored-lock.ts";
import { slotName } from "../../src/lock/slots.ts";
import type { Operation } from "../../src/redis/operation.ts";
import { useLockNode } from "../support/lock-node.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";
import { RETRY_RECORD } from "../../src/waiters/reservations-lua.ts";
import { SimulatedMaster } from "../../src/testing/memory/simulated-master.ts";
import { VirtualClock } from "../../src/testing/memory/virtual-clock.ts";

const servers = useRedisNodes(1);
const names = namesUnder("redlock:");
const { answer, ask } = useLockNode(servers);

function identity(owner: string, token: number, keys: string[] = ["k"]): LockIdentity {
  const requester = {
    process: "here",
    queueId: "",
    position: "",
    run: 0,
    replaceable: false,
    joins: undefined,
  };
  const slots = { slots: keys, limits: undefined };
  return { names, keys, ...slots, owner, token, guarded: false, holder: "", requester };
}

/** Of both keys of the random steps. */
const ALL_SLOTS = ["k", "l"].flatMap((key) => [0, 1, 2].map((slot) => slotName(key, slot)));

function at(n: number): string {
  return `100000000000${n}:q:0001:7`;
}

/** A requester in strict order, behind others. */
function inStrictOrder(owner: string, token: number, n: number, others: number[]) {
  const behind = {
    priority: 0,
    record: "a0@here",
    others: others.map((other) => ({ position: at(other), priority: 0, keys: ["k"] })),
  };
  const joins = { priority: 0, record: `a1@${owner}`, replaces: false };
  const requester = {
    ...identity(owner, token).requester,
    position: at(n),
    run: 1,
    joins,
    behind,
  };
  return { ...identity(owner, token), requester, ttl: 60_000 };
}

describe("the script of a master", () => {
  it("grants a free key, and names the holder of a taken one", async () => {
    const mine = { ...identity("me", 100), ttl: 60_000, holder: "job 1: a:b" };
    expect(await ask(acquireOperation, mine)).toEqual({ status: "granted" });
    const theirs = await ask(acquireOperation, { ...identity("you", 101), ttl: 60_000 });
    expect(theirs).toMatchObject({
      status: "busy",
      mark: 100,
      holders: [{ key: "k", id: "me", token: 100, text: "job 1: a:b", confirmed: false }],
    });
  });

  it("tells a holder that won a quorum from a vote that a later winner left behind", async () => {
    const asked = { ...identity("you", 102), ttl: 60_000 };
    const vote = { ...identity("loser", 100), ttl: 60_000 };
    const release = { held: true, skipped: [], done: "" };
    await ask(acquireOperation, vote);
    // A quorum of others voted for the winner. Its release comes before the rollback of the loser.
    await ask(releaseOperation, { ...identity("winner", 101), ...release, holdFor: 0 });
    const behind = await ask(acquireOperation, asked);
    expect(behind).toMatchObject({ holders: [{ id: "loser", confirmed: false }] });
    await ask(releaseOperation, { ...vote, ...release, held: false, holdFor: 0 });

    const holder = { ...identity("holder", 103), ttl: 60_000 };
    await ask(acquireOperation, holder);
    await ask(extendOperation, holder);
    const held = await ask(acquireOperation, asked);
    expect(held).toMatchObject({ holders: [{ id: "holder", confirmed: true }] });

    await ask(releaseOperation, { ...holder, ...release, holdFor: 60_000 });
    const kept = await ask(acquireOperation, asked);
    expect(kept).toMatchObject({ holders: [{ id: "holder", kept: true, confirmed: true }] });
  });

  it("answers a repeated acquire the same and does not lengthen its ttl", async () => {
    const mine = { ...identity("me", 100), ttl: 50_000 };
    await ask(acquireOperation, mine);
    const client = redisClient(servers.urls[0] ?? "");
    await client.pexpire("redlock:k", 10_000);
    expect(await ask(acquireOperation, mine)).toEqual({ status: "granted" });
    expect(await client.pttl("redlock:k")).toBeLessThanOrEqual(10_000);
  });

  it("refuses a token that is not above the highest one, also after a release", async () => {
    await ask(acquireOperation, { ...identity("me", 100), ttl: 60_000 });
    const release = { ...identity("me", 100), held: true, holdFor: 0, skipped: [], done: "" };
    expect(await ask(releaseOperation, release)).toMatchObject({ deleted: 1 });
    const late = await ask(acquireOperation, { ...identity("me", 100), ttl: 60_000 });
    expect(late).toEqual({ status: "stale", mark: 100 });
  });

  it("keeps a free key for a retry where only an attempt came later, and no release", async () => {
    const retrying = identity("me", 100);
    const requester = { ...retrying.requester, position: at(1), run: 1 };
    // This master voted for the attempt; a quorum of others voted for the job.
    await ask(acquireOperation, { ...identity("you", 101), ttl: 60_000 });
    const rollback = { ...identity("you", 101), holdFor: 0, skipped: [], done: "" };
    await ask(releaseOperation, { ...rollback, held: false });
    const release = { held: true, holdFor: 0, skipped: [], done: "", keepsRetry: true };

    const [kept] = (await ask(releaseOperation, { ...retrying, requester, ...release }))
      .reservations;

    expect(kept).toMatchObject({ status: "reserved", position: at(1), record: RETRY_RECORD });
  });

  it("reserves a key that was kept for a job that is gone for the waiter of the others", async () => {
    const retrying = identity("me", 100);
    const requester = { ...retrying.requester, position: at(1), run: 1 };
    const release = { held: true, holdFor: 0, skipped: [], done: "", keepsRetry: true };
    await ask(releaseOperation, { ...retrying, requester, ...release });
    const newcomers = [2, 3].map((n) => {
      return { position: at(n), priority: 0, record: "p1@there", replaces: false };
    });
    const joining = { names, keys: ["k"], limits: [1], newcomers, process: "there", live: false };
    await ask(joinOperation, joining);
    const gone = [{ position: at(1), record: RETRY_RECORD }];
    const serving = { names, key: "k", token: 101, process: "here", record: "p1@there", gone };

    const decided = { position: at(3), wakes: false, life: 60_000, live: false, skipped: [] };
    const reply = await ask(serveOperation, { ...serving, ...decided });

    expect(reply).toMatchObject({ status: "reserved", position: at(3), token: 101 });
  });

  it("sets the key of a holder provisionally in quarantine, also over an earlier one", async () => {
    const client = redisClient(servers.urls[0] ?? "");
    const arming = { names, quarantine: 60_000, longestTtl: 60_000, patience: 0 };
    const { armedAt } = await ask(armOperation, arming);
    await ask(agreeOperation, { names, armedAt, agreedTtl: 60_000, trust: false });
    const [earlier, mine, later] = [99, 100, 101].map((token) => {
      return { ...identity(`owner${token}`, token), guarded: true, ttl: 60_000 };
    });
    expect(await ask(acquireOperation, earlier!)).toMatchObject({ status: "quarantined" });

    expect(await ask(extendOperation, mine!)).toEqual({ status: "quarantined" });

    expect(await client.get("redlock:k")).toBe("q100:owner100:");
    const refused = { status: "busy", holders: [{ id: "owner100", provisional: true }] };
    expect(await ask(acquireOperation, later!)).toMatchObject(refused);
    // The quarantine is over.
    const guard = (await client.get(names.guard)) ?? "";
    await client.set(names.guard, guard.replace(/:\d+:(\d+:\d+)$/, ":0:$1"));
    expect(await ask(extendOperation, mine!)).toEqual({ status: "extended" });
    expect(await client.get("redlock:k")).toBe("100:owner100:");
  });

  it("leaves the next run of a job in the wait list when an earlier run releases", async () => {
    const position = "1000000000001:q:0001:7";
    const first = identity("me", 100);
    const requester = { ...first.requester, position, run: 1 };
    await ask(acquireOperation, { ...first, requester, ttl: 60_000 });
    // Its worker was suspended: another has the job now, and waits for what the first one holds.
    const newcomer = { position, priority: 0, record: "p2@there", replaces: false };
    const joining = {
      names,
      keys: ["k"],
      limits: [1],
      newcomers: [newcomer],
      process: "there",
      live: false,
    };
    await ask(joinOperation, joining);
    const release = { ...first, requester, held: true, holdFor: 0, skipped: [], done: "" };
    expect(await ask(releaseOperation, release)).toMatchObject({
      deleted: 1,
      reservations: [{ status: "next", waiters: [{ position, record: "p2@there" }] }],
    });
    // A late join does not undo what the next run has written.
    const late = { ...newcomer, record: "p1@here" };
    await ask(joinOperation, { ...joining, newcomers: [late] });
    const joins = { priority: 0, record: "a1@here", replaces: false };
    await ask(acquireOperation, {
      ...identity("you", 101),
      requester: { ...requester, run: 2 },
      ttl: 60_000,
    });
    await ask(joinOperation, joining);
    const again = { ...identity("me", 102), requester: { ...requester, joins }, ttl: 60_000 };
    expect(await ask(acquireOperation, again)).toMatchObject({ status: "busy" });
    const known = await redisClient(servers.urls[0] ?? "").hgetall(names.waiter("k"));
    expect(known).toEqual({ [position]: "p2@there" });
  });

  it("parks a live waiter in the same run, however often it has joined", async () => {
    const position = "1000000000001:q:0001:7";
    const live = { position, priority: 0, record: "l1.12@here", replaces: false };
    const joining = {
      names,
      keys: ["k"],
      limits: [1],
      newcomers: [live],
      process: "here",
      live: true,
    };
    await ask(joinOperation, joining);
    const parked = { ...live, record: "p1@here" };
    await ask(joinOperation, { ...joining, newcomers: [parked], live: false });
    const stored = await redisClient(servers.urls[0] ?? "").hgetall(names.waiter("k"));
    expect(stored).toMatchObject({ [position]: "p1@here" });
  });

  it("refuses a position before that of the holder, or of a job that has succeeded", async () => {
    const asking = (owner: string, token: number, n: number, keys = ["k"]) => {
      const joins = { priority: 0, record: "a1@here", replaces: false };
      const requester = {
        ...identity(owner, token).requester,
        position: at(n),
        run: 1,
        replaceable: true,
      };
      return { ...identity(owner, token, keys), requester: { ...requester, joins }, ttl: 60_000 };
    };
    await ask(acquireOperation, asking("two", 100, 2));
    expect(await ask(acquireOperation, asking("one", 101, 1))).toMatchObject({
      status: "busy",
      holders: [{ id: "two", later: at(2) }],
    });
    const client = redisClient(servers.urls[0] ?? "");
    expect(await client.exists(names.waiters("k"))).toBe(0);
    const three = await ask(acquireOperation, asking("three", 102, 3));
    expect(three).toMatchObject({ status: "busy", holders: [{ id: "two" }] });
    expect(three).not.toHaveProperty("holders[0].later");

    const release = { ...asking("two", 100, 2), held: true, holdFor: 0, skipped: [] };
    await ask(releaseOperation, { ...release, done: at(2) });
    await client.del(names.reservation("k"), names.waiters("k"), names.waiter("k"));
    expect(await ask(acquireOperation, asking("one", 103, 1))).toEqual({
      status: "replaced",
      by: at(2),
    });
    expect(await ask(acquireOperation, asking("two", 104, 2))).toEqual({ status: "granted" });
    expect(await client.pttl(names.newest("k"))).toBeGreaterThan(3_590_000);
  });

  it("keeps a free key from a position that others come before, and lets those join", async () => {
    expect(await ask(acquireOperation, inStrictOrder("two", 100, 2, [1]))).toMatchObject({
      status: "busy",
      holders: [{ id: at(1), reservation: true, ahead: 1, waiting: 1 }],
    });
    const client = redisClient(servers.urls[0] ?? "");
    const records = async (): Promise<object> => await client.hgetall(names.waiter("k"));
    expect(await records()).toEqual({ [at(1)]: "a0@here", [at(2)]: "a1@two" });
    // Also without naming it: it is in the wait list.
    const three = await ask(acquireOperation, inStrictOrder("three", 101, 3, []));
    expect(three).toMatchObject({ status: "busy", holders: [{ id: at(1) }] });
    expect(await ask(acquireOperation, inStrictOrder("one", 102, 1, []))).toEqual({
      status: "granted",
    });
    expect(await records()).toEqual({ [at(2)]: "a1@two", [at(3)]: "a1@three" });
  });

  it("waits for a position whose grant was rolled back, not for one that released", async () => {
    const one = inStrictOrder("one", 100, 1, []);
    const release = { ...one, held: true, holdFor: 0, skipped: [], done: "" };
    await ask(acquireOperation, one);
    await ask(releaseOperation, { ...release, held: false });
    const refused = { status: "busy", holders: [{ id: at(1), reservation: true }] };
    expect(await ask(acquireOperation, inStrictOrder("two", 101, 2, [1]))).toMatchObject(refused);
    // It won on the other masters.
    await ask(releaseOperation, { ...release, token: 102 });
    const client = redisClient(servers.urls[0] ?? "");
    await client.del(names.reservation("k"), names.waiters("k"), names.waiter("k"));
    expect(await ask(acquireOperation, inStrictOrder("two", 103, 2, [1]))).toEqual({
      status: "granted",
    });
  });

  it("tells another process of the queue when the one that has parked the job is gone", async () => {
    const subscriber = redisClient(servers.urls[0] ?? "");
    const sent: string[] = [];
    subscriber.on("message", (_channel, message: string) => sent.push(message));
    await subscriber.subscribe(names.wake("there"));
    const queues = [{ queueId: "q", servedAgo: 0 }];
    await ask(dueOperation, { names, process: "there", queues });
    const join = async (n: number, record: string): Promise<void> => {
      const newcomers = [{ position: at(n), priority: 0, record, replaces: false }];
      const joining = { names, keys: ["k"], limits: [1], newcomers, live: false };
      await ask(joinOperation, { ...joining, process: "gone" });
    };
    const serve = async (token: number): Promise<void> => {
      const first = { position: "", record: "", wakes: true, life: 2_000, live: false };
      const serving = { names, key: "k", token, process: "here", ...first, gone: [], skipped: [] };
      await ask(serveOperation, serving);
    };
    await join(1, "p1@gone");
    await serve(1);
    await subscriber.ping();
    expect(sent).toEqual([JSON.stringify(["k", "1", at(1), "p1@gone"])]);

    // A live waiter is in no queue.
    await redisClient(servers.urls[0] ?? "").del(names.reservation("k"), names.waiters("k"));
    await join(2, "l1@gone");
    await serve(2);
    await subscriber.ping();
    expect(sent).toHaveLength(1);
  });

  it("takes several keys all or none", async () => {
    await ask(acquireOperation, { ...identity("you", 5, ["b"]), ttl: 60_000 });
    const both = { ...identity("me", 9, ["a", "b"]), ttl: 60_000 };
    expect(await ask(acquireOperation, both)).toMatchObject({
      status: "busy",
      holders: [{ key: "b", id: "you" }],
    });
    expect(await redisClient(servers.urls[0] ?? "").exists("redlock:a")).toBe(0);
  });

  it("stops a request for several keys only at a reservation for an earlier position", async () => {
    const newcomers = [{ position: at(2), priority: 0, record: "p1@there", replaces: false }];
    const joining = { names, keys: ["a"], limits: [1], newcomers, live: false, process: "there" };
    await ask(joinOperation, joining);
    const first = { position: "", record: "", wakes: false, life: 2_000, live: false };
    const serving = {
      names,
      key: "a",
      token: 1,
      process: "there",
      ...first,
      gone: [],
      skipped: [],
    };
    await ask(serveOperation, serving);
    const want = async (n: number, token: number, keys: string[]): Promise<AcquireReply> => {
      const asked = identity(`${n}`, token, keys);
      const joins = { priority: 0, record: `a1@${n}`, replaces: false };
      const requester = { ...asked.requester, position: at(n), run: 1, joins };
      return await ask(acquireOperation, { ...asked, requester, ttl: 60_000 });
    };
    const refused = { status: "busy", holders: [{ key: "a", id: at(2), reservation: true }] };
    expect(await want(3, 100, ["a", "b"])).toMatchObject(refused);
    expect(await want(1, 101, ["a"])).toMatchObject(refused);
    expect(await want(1, 102, ["a", "b"])).toEqual({ status: "granted" });
  });

  it("extends what is ours alone: never shortens, never revives, never touches others", async () => {
    const client = redisClient(servers.urls[0] ?? "");
    await ask(acquireOperation, { ...identity("me", 100), ttl: 60_000 });
    await ask(extendOperation, { ...identity("me", 100), ttl: 1_000 });
    expect(await client.pttl("redlock:k")).toBeGreaterThan(50_000);
    expect(await ask(extendOperation, { ...identity("you", 100), ttl: 90_000 })).toEqual({
      status: "taken",
    });
    expect(await client.pttl("redlock:k")).toBeLessThanOrEqual(60_000);
    await client.del("redlock:k");
    expect(await ask(extendOperation, { ...identity("me", 100), ttl: 90_000 })).toEqual({
      status: "gone",
    });
    expect(await client.exists("redlock:k")).toBe(0);
  });

  it("leaves values of other programs alone and reports them as holders", async () => {
    const client = redisClient(servers.urls[0] ?? "");
    await client.set("redlock:k", "their-random-value", "PX", 60_000);
    expect(await ask(acquireOperation, { ...identity("me", 1), ttl: 1_000 })).toMatchObject({
      status: "busy",
      holders: [{ id: "their-random-value", token: undefined }],
    });
    const release = { ...identity("me", 1), held: true, holdFor: 0, skipped: [], done: "" };
    expect(await ask(releaseOperation, release)).toMatchObject({ deleted: 0 });
    expect(await client.get("redlock:k")).toBe("their-random-value");
  });

  it("marks what it keeps after a release, once, and leaves it its owner's", async () => {
    const client = redisClient(servers.urls[0] ?? "");
    const mine = { ...identity("me", 100), holder: "job 1: a:b" };
    await ask(acquireOperation, { ...mine, ttl: 60_000 });
    const release = { ...mine, held: true, holdFor: 20_000, skipped: [], done: "" };
    for (const _ of ["first", "sent again"]) {
      expect(await ask(releaseOperation, release)).toMatchObject({ deleted: 1 });
      expect(await client.get("redlock:k")).toBe("100:me:[kept] job 1: a:b");
    }
    expect(await client.pttl("redlock:k")).toBeLessThanOrEqual(20_000);
    expect(await ask(acquireOperation, { ...identity("you", 101), ttl: 60_000 })).toMatchObject({
      status: "busy",
      holders: [{ id: "me", token: 100, text: "job 1: a:b", kept: true }],
    });
    expect(await ask(extendOperation, { ...mine, ttl: 30_000 })).toEqual({ status: "extended" });
    expect(await ask(releaseOperation, { ...release, holdFor: 0 })).toMatchObject({ deleted: 1 });
    expect(await client.exists("redlock:k")).toBe(0);
  });

  it("stores tokens digit by digit, however large", async () => {
    const token = 8_999_999_999_999_999;
    await ask(acquireOperation, { ...identity("me", token), ttl: 60_000 });
    const client = redisClient(servers.urls[0] ?? "");
    expect(await client.get("redlock:k")).toBe("8999999999999999:me:");
    await ask(extendOperation, { ...identity("me", token), ttl: 60_000 });
    expect(await client.get("redlock:@fence:k")).toBe("8999999999999999:8999999999999998");
  });

  it("fails a wrong-typed key alone, not its neighbours in the same call", async () => {
    const client = redisClient(servers.urls[0] ?? "");
    await client.hset("redlock:bad", "field", "value");
    const [good, bad, alsoGood] = await Promise.allSettled(
      ["a", "bad", "c"].map((key) =>
        ask(acquireOperation, { ...identity(key, 1, [key]), ttl: 60_000 }),
      ),
    );
    expect(good).toMatchObject({ status: "fulfilled" });
    expect(bad).toMatchObject({ reason: { failure: "refused" } });
    expect(alsoGood).toMatchObject({ status: "fulfilled" });
    expect(await client.hgetall("redlock:bad")).toEqual({ field: "value" });
  });

  it("reads a value back whatever the holder text", () => {
    fc.assert(
      fc.property(fc.nat(), fc.stringMatching(/^[\w-]{1,30}$/), fc.string(), (token, id, text) => {
        expect(parseStoredLock(`${token}:${id}:${text}`)).toEqual({
          id,
          token,
          text: text === "" ? undefined : text,
          kept: false,
        });
      }),
    );
  });
});

describe("the simulated master", () => {
  type AgreementStep = {
    position: string;
    kind:
      | "acquire"
      | "extend"
      | "held"
      | "rollback"
      | "read"
      | "slots"
      | "join"
      | "move"
      | "serve"
      | "due"
      | "sizes"
      | "page"
      | "arm"
      | "agree"
      | "delete"
      | "foreign"
      | "flush"
      | "other process"
      | "disuse";
    guarded: boolean;
    trust: boolean;
    owner: string;
    token: number;
    keys: string[];
    limit: number;
    slot: number;
    ttl: number;
    /** A waiter, and what is done about it. */
    priority: number;
    queueId: string;
    live: boolean;
    flag: boolean;
    holdFor: number;
    run: string;
    /** Since when a queue is unresponsive: before or after all that it does here. */
    age: number;
    gone: { position: string; record: string }[];
  };
  const position = fc
    .tuple(fc.constantFrom("1000000000000", "1000000000001"), fc.constantFrom("x", "y"), fc.nat(3))
    .map((parts) => parts.join(":"));
  const step: fc.Arbitrary<AgreementStep> = fc.record({
    position: fc.oneof(position, fc.constant("")),
    kind: fc.constantFrom(
      "acquire",
      "acquire",
      "extend",
      "held",
      "rollback",
      "read",
      "slots",
      "join",
      "join",
      "join",
      "move",
      "serve",
      "serve",
      "due",
      "due",
      "sizes",
      "page",
      "arm",
      "arm",
      "agree",
      "delete",
      "foreign",
      "flush",
      "other process",
      "disuse",
      "disuse",
    ),
    guarded: fc.boolean(),
    trust: fc.boolean(),
    owner: fc.constantFrom("a", "b", "c"),
    token: fc.integer({ min: 1, max: 12 }),
    keys: fc.constantFrom(["k"], ["l"], ["k", "l"]),
    limit: fc.constantFrom(1, 1, 2, 3),
    slot: fc.nat(2),
    ttl: fc.constantFrom(100_000, 200_000),
    priority: fc.nat(1),
    queueId: fc.constantFrom("", "x", "y"),
    live: fc.boolean(),
    flag: fc.boolean(),
    holdFor: fc.constantFrom(0, 0, 20_000),
    age: fc.constantFrom(-200_000, 200_000),
    run: fc.constantFrom("1", "1.2", "2", "10"),
    gone: fc.array(
      fc.record({ position, record: fc.constantFrom("0", "1", "2", "p1@a", "p1@b", "p1/3@a") }),
      {
        maxLength: 2,
      },
    ),
  });

  it("gives the same replies and keeps the same state as the Lua on a real server", async () => {
    const client = redisClient(servers.urls[0] ?? "");
    // One of the processes lives.
    const subscriber = redisClient(servers.urls[0] ?? "");
    const sent: string[] = [];
    subscriber.on("message", (_channel, message: string) => sent.push(message));
    await subscriber.subscribe(names.wake("a"));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        await client.flushall();
        const twin = new SimulatedMaster(new VirtualClock());
        const twinSent: string[] = [];
        twin.subscribe(names.wake("a"), (message) => twinSent.push(message));
        const { server } = await answer(readOperation, { names, key: "k" });
        for (const each of steps) {
          const { kind, owner, token, keys, limit, ttl, guarded, queueId, flag } = each;
          const slots = keys.map((name) => slotName(name, each.slot % limit));
          const [key = ""] = slots;
          if (kind === "delete") {
            await client.del(names.lock(key));
            twin.delete(names.lock(key));
          } else if (kind === "foreign") {
            await client.set(names.lock(key), "theirs", "PX", ttl);
            twin.set(names.lock(key), "theirs", ttl);
          } else if (kind === "flush") {
            await client.flushall();
            twin.wipe();
          } else if (kind === "other process") {
            await client.set(names.guard, "other:sure:0:0:500000:100000");
            twin.set(names.guard, "other:sure:0:0:500000:100000", Infinity);
          } else if (kind === "disuse") {
            for (const name of [names.limits("k"), names.limits("l")]) {
              const limit = String(each.limit);
              if ((await client.zscore(name, limit)) === null) continue;
              await client.zadd(name, -9e12, limit);
              twin.redis.zadd(name, limit, -9e12);
            }
          } else if (kind === "due") {
            // The clocks of the two are not the same: all is due, or nothing.
            for (const queueId of ["x", "y", "z"]) {
              const at = flag ? 0 : 9e12;
              const members = await client.zrange(names.due(queueId), "0", "-1");
              for (const member of members) await client.zadd(names.due(queueId), at, member);
              for (const [member] of twin.redis.zrange(names.due(queueId))) {
                twin.redis.zadd(names.due(queueId), member, at);
              }
            }
            const queues = ["x", "y", "z"].map((queueId) => ({ queueId, servedAgo: each.age }));
            const question = { names, process: each.live ? "a" : "", queues };
            const real = await ask(dueOperation, question);
            const known = twin.execute(dueOperation, question, server);
            // The twin's time stands still.
            const quarantine = known.quarantine > 0 ? Math.max(1, real.quarantine) : 0;
            expect({ ...known, quarantine }).toEqual(real);
          } else {
            const isWaiter = each.position !== "";
            const joins =
              isWaiter && each.live
                ? {
                    priority: each.priority,
                    record: `a${each.run}@${owner}`,
                    replaces: each.trust,
                  }
                : undefined;
            const requester = {
              process: owner,
              queueId,
              position: each.position,
              replaceable: flag && isWaiter,
              keepsRetries: isWaiter && each.live,
              run: Number.parseInt(each.run, 10),
              joins,
              behind:
                isWaiter && each.trust
                  ? {
                      priority: each.priority,
                      record: `a0@${owner}`,
                      others: each.gone.map(({ position }, index) => ({
                        position,
                        priority: 0,
                        keys: index % 2 === 0 ? keys : keys.slice(0, 1),
                      })),
                    }
                  : undefined,
            };
            const limits = limit === 1 ? undefined : keys.map(() => limit);
            const base = { ...identity(owner, token, keys), slots, limits, guarded, requester };
            const { operation, argsFor } = requestOf(kind, base, each);
            const guard = await client.get(names.guard);
            const real = await ask(operation, argsFor(armedAtOf(guard))).catch(messageOf);
            const args = argsFor(armedAtOf(twin.get(names.guard)));
            expect(round(executedBy(() => twin.execute(operation, args, server)))).toEqual(
              round(real),
            );
          }
          expect(guardIn(twin.get(names.guard))).toEqual(guardIn(await client.get(names.guard)));
          // At once: reservations of the server end after half a second, those of the twin do not.
          const values = ALL_SLOTS.flatMap((slot) => [
            names.lock(slot),
            names.fence(slot),
            names.reservation(slot),
          ]);
          expect(values.map((name) => twin.get(name) ?? null)).toEqual(await client.mget(values));
          for (const known of ["k", "l"]) {
            const waiters = await client.zrange(names.waiters(known), "0", "-1", "WITHSCORES");
            expect(waiters).toEqual(twin.redis.zrange(names.waiters(known)).flat().map(String));
            expect(await client.hgetall(names.newest(known))).toEqual(
              Object.fromEntries(twin.redis.entries(names.newest(known))),
            );
            const limits = await client.zrange(names.limits(known), "0", "-1");
            expect(limits.toSorted()).toEqual(membersOf(twin, names.limits(known)).toSorted());
            const records = await client.hgetall(names.waiter(known));
            expect(withoutTimesOf(Object.entries(records))).toEqual(
              withoutTimesOf(twin.redis.entries(names.waiter(known))),
            );
          }
          for (const queueId of ["x", "y", "z"]) {
            expect((await client.zrange(names.due(queueId), "0", "-1")).toSorted()).toEqual(
              membersOf(twin, names.due(queueId)).toSorted(),
            );
          }
          const noted = Object.entries(await client.hgetall(names.queues));
          expect(withoutTimes(noted)).toEqual(withoutTimes(twin.redis.entries(names.queues)));
        }
        // Behind all messages.
        await subscriber.ping();
        // A slash is escaped in one of them.
        expect(sent.splice(0).map(parsed)).toEqual(twinSent.map(parsed));
      }),
      { numRuns: 60, endOnFailure: true },
    );
  });

  function requestOf(
    kind: Exclude<
      AgreementStep["kind"],
      "delete" | "foreign" | "flush" | "other process" | "disuse" | "due"
    >,
    base: LockIdentity,
    { ttl, trust, position, priority, live, flag, holdFor, gone, queueId, run, age }: AgreementStep,
  ): { operation: Operation<object, unknown>; argsFor: (armedAt: number) => object } {
    // Never as old as what `due` reports: the twin's time stands still, and equal times differ on the server by a millisecond.
    const reportedAge = 2 * age;
    const requests = {
      arm: {
        operation: armOperation,
        args: { names, quarantine: 3 * ttl, longestTtl: ttl, patience: trust ? 0 : 9_999_999 },
      },
      agree: { operation: agreeOperation, args: { names, agreedTtl: ttl, trust } },
      acquire: { operation: acquireOperation, args: { ...base, ttl } },
      extend: { operation: extendOperation, args: { ...base, ttl } },
      held: {
        operation: releaseOperation,
        args: {
          ...base,
          held: true,
          holdFor,
          skipped: trust ? [] : [{ queueId: "y", age: reportedAge }],
          done: flag ? position : "",
          keepsRetry: base.requester.keepsRetries === true,
        },
      },
      rollback: {
        operation: releaseOperation,
        args: { ...base, held: false, holdFor: 0, skipped: [], done: "" },
      },
      join: {
        operation: joinOperation,
        args: {
          names,
          keys: base.keys,
          limits: base.limits ?? base.keys.map(() => 1),
          newcomers: (trust ? [position, "1000000000002:z:0"] : [position || "1000000000003:z:0"])
            .filter((each) => each !== "")
            .map((each, index) => ({
              position: each,
              priority: priority + index,
              record: `${live ? "l" : "p"}${flag ? "r" : ""}${run}@${base.owner}`,
              replaces: flag,
            })),
          process: base.owner,
          live,
        },
      },
      move: {
        operation: moveOperation,
        args: { names, keys: base.keys, position, priority: trust ? priority - 0.5 : priority },
      },
      serve: {
        operation: serveOperation,
        args: {
          names,
          key: base.slots[0] ?? "",
          token: base.token,
          process: base.owner,
          position: flag ? position : "",
          record: "p1@a",
          wakes: trust,
          life: 60_000,
          live,
          gone,
          skipped: queueId === "" ? [] : [{ queueId, age: reportedAge }],
        },
      },
      read: { operation: readOperation, args: { names, key: base.keys[0] ?? "" } },
      sizes: { operation: sizesOperation, args: { names, queueId: queueId || "x" } },
      page: {
        operation: pageOperation,
        args: { names, key: base.keys[0] ?? "", from: flag ? 1 : 0, count: 2 },
      },
      slots: { operation: readSlotsOperation, args: { names, key: base.keys[0] ?? "", count: 3 } },
    };
    const { operation, args } = requests[kind];
    // The clocks of the two differ; an agreement may be for another guard.
    return { operation, argsFor: (armedAt) => ({ ...args, armedAt: flag ? armedAt : 1 }) };
  }
});

it("goes through the same keys as the Lua on a real server, with as many waiters", async () => {
  const twin = new SimulatedMaster(new VirtualClock());
  const stored = ["a", "ab", "a*b", "a[b]", "c\\d", "é", "a.b", "A", "account:42"];
  for (const [index, key] of stored.entries()) {
    for (const slot of [0, 1, 12]) {
      const slots = { slots: [slotName(key, slot)], limits: [20] };
      const taken = { ...identity("me", 100 + index, [key]), ...slots, ttl: 60_000 };
      twin.execute(acquireOperation, taken, "");
      await ask(acquireOperation, taken);
    }
    const newcomers = stored.slice(0, index).map((id) => {
      return {
        position: `1000000000001:q:0001:${id}`,
        priority: 0,
        record: "p1@here",
        replaces: false,
      };
    });
    const joining = { names, keys: [key], limits: [1], newcomers, process: "here", live: false };
    twin.execute(joinOperation, joining, "");
    await ask(joinOperation, joining);
  }
  const patterns = [
    "*",
    "a?",
    "a\\*b",
    "a[[]b]",
    "[^a]*",
    "[a-c]*",
    "c\\\\d",
    "a.b",
    "*:4[0-9]",
    "4?",
    "??",
    "none",
  ];
  for (const pattern of patterns) {
    for (const of of ["locks", "wait lists", "slots"] as const) {
      const walk = { names, pattern, of, cursor: SCAN_START };
      const { keys } = await ask(scanOperation, walk);
      const told = new Set(twin.execute(scanOperation, walk, "").keys);
      expect(told, `${of} ${pattern}`).toEqual(new Set(keys));
    }
  }
});

function armedAtOf(guard: string | null | undefined): number {
  return Number(guard?.split(":")[2] ?? 0);
}

/** A guard without its server and its times. */
function guardIn(stored: string | null | undefined): unknown {
  const [, state, , , longest, agreed] = stored?.split(":") ?? [];
  return { state, longest, agreed };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function executedBy(execute: () => unknown): unknown {
  try {
    return execute();
  } catch (error) {
    return messageOf(error);
  }
}

function membersOf({ redis }: SimulatedMaster, key: string): string[] {
  return redis.zrange(key).map(([member]) => member);
}

/** The records of waiters; of processes and reservations without the time. */
function withoutTimesOf(records: [string, string | number][]): [string, unknown][] {
  return records
    .map(([name, value]): [string, unknown] => {
      return [name, /^[~>]/.test(name) ? String(value).replace(/^\d+/, "time") : value];
    })
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** What is known about queues; of times nothing. */
function withoutTimes(queues: [string, string | number][]): [string, string][] {
  return queues
    .map(([name, value]): [string, string] => [name, String(value).split(":")[1] ?? ""])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** The twin's time stands still, the server's does not: expiries agree to half of a ttl's step. */
function parsed(message: string): unknown {
  return JSON.parse(message);
}

function round(reply: unknown): unknown {
  const text = JSON.stringify(reply, (name, value: unknown) => {
    if (name === "armedAt") return undefined;
    return ["expiresIn", "remaining", "quarantine", "age"].includes(name)
      ? Math.round(Number(value) / 100_000)
      : value;
  });
  // JSON has no undefined.
  return text === undefined ? undefined : JSON.parse(text);
}
