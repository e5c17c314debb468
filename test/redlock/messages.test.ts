import { describe, expect, it } from "vitest";
import {
  LockConflictError,
  LockKeyError,
  LockLostError,
  LockUnavailableError,
} from "../../src/errors.ts";
import { namesUnder } from "../../src/lock/stored-lock.ts";
import { withoutTag } from "../../src/redlock/job-text.ts";
import { simulate } from "../support/simulated-redlock.ts";

const OPTIONS = { ttl: 2_000, nodeTimeout: 100 };
const EVIL = "a\u001B[2Jb\nc\u009B\u202Ed\u2028";
const UNSAFE = /[\p{Control}\p{Bidi_Control}\u2028\u2029]/u;

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return await promise.then(
    () => expect.unreachable("it did not fail"),
    (error: unknown) => error as Error,
  );
}

describe("what a message says of keys, holders and jobs", () => {
  const holder = { text: EVIL, fencingToken: 1, since: 1 };
  const votes = [{ node: "lock-1", vote: "refused", cause: EVIL }] as const;
  const keys = [EVIL];

  it.each([
    new LockConflictError({ keys, key: EVIL, holder, retryAfter: 1, ahead: 0 }),
    new LockConflictError({
      keys,
      key: EVIL,
      holder: undefined,
      reserved: true,
      retryAfter: 1,
      ahead: 0,
    }),
    new LockUnavailableError({ keys, votes, quorum: 1, nodeTimeout: 1 }),
    new LockLostError({ keys, reason: "taken", fencingToken: 1, heldFor: 1, votes }),
    new LockKeyError({ message: `found "${EVIL}"`, job: `bull:q:${EVIL}`, path: EVIL }),
  ])("is in one line, and steers no terminal: $name", (error) => {
    expect(error.message).not.toMatch(UNSAFE);
    expect(error.message).toContain("\uFFFD[2Jb\uFFFDc");
  });

  it("is cleaned, and the data of the error is not", () => {
    const error = new LockConflictError({ keys, key: EVIL, holder, retryAfter: 1, ahead: 0 });
    expect(error).toMatchObject({ keys, key: EVIL, holder });
  });

  it("leaves out what tells jobs apart, and nothing else", () => {
    expect(withoutTag("bull:q:1 attempt 1 (vm pid 2) #B2Yp-_abcdef")).toBe(
      "bull:q:1 attempt 1 (vm pid 2)",
    );
    expect(withoutTag("report #B2Yp-_abcdef")).toBe("report #B2Yp-_abcdef");
  });
});

describe("a key that nobody holds", () => {
  it("is reported as reserved for a job, with the time left", async () => {
    const { clock, nodes, redlock } = simulate(3, OPTIONS);
    for (const { master } of nodes) {
      master.set(namesUnder("redlock:").reservation("k"), "7:0000000000001:q:0001:1", 1_500);
    }
    const conflicts: unknown[] = [];
    redlock.on("conflict", (conflict) => conflicts.push(conflict));

    const error = await failureOf(clock.until(redlock.acquire("k")));

    expect(error.message).toMatch(/^"k" is reserved for job q:1, for 1[45]\d\d ms at most$/);
    const { retryAfter } = error as LockConflictError;
    expect(retryAfter).toBeLessThanOrEqual(1_500);
    const reservation = { reserved: true, reservedFor: "q:1", retryAfter, ahead: 0 };
    const data = { keys: ["k"], key: "k", holder: undefined, ...reservation };
    expect(error).toMatchObject(data);
    expect(conflicts).toEqual([data]);
    await clock.until(redlock.close());
  });

  it("is not said to be held by the attempts of others, while new masters give no vote", async () => {
    const { clock, nodes, client } = simulate(3, OPTIONS);
    for (const node of nodes) {
      node.master.wipe();
      node.upFor = 0;
      node.behaviour.back = 20;
    }
    const clients = [client(), client()];
    const [first, second] = clients as [(typeof clients)[0], (typeof clients)[0]];
    await failureOf(clock.until(first.acquire("k")));
    const attempt = failureOf(first.acquire("k"));
    await clock.pass(5);
    const inspecting = second.inspect("k");
    const other = failureOf(second.acquire("k"));

    expect(await clock.until(inspecting)).toMatchObject({ locked: false, holder: undefined });
    const said =
      /0 of 3 masters voted .*lock-1:6379 quarantined \(new, or lost its memory(?:; votes in \d+ s)?\)/;
    for (const error of [await clock.until(attempt), await clock.until(other)]) {
      expect(error.name).toBe("LockUnavailableError");
      expect(error.message).toMatch(said);
    }
  });

  it("is held by one that has it, though another master gives no vote", async () => {
    const { clock, nodes, redlock, client } = simulate(3, OPTIONS);
    await clock.until(redlock.acquire("before"));
    nodes[0]!.restart({ empty: true });
    await clock.until(redlock.acquire("warm"));
    await clock.pass(100);
    const lock = await clock.until(redlock.acquire("k", { holder: "me" }));

    expect(await failureOf(clock.until(client().acquire("k")))).toMatchObject({
      name: "LockConflictError",
      holder: { text: "me", fencingToken: lock.fencingToken },
    });
    expect(await clock.until(client().inspect("k"))).toMatchObject({ holder: { text: "me" } });
  });
});
