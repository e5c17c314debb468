import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Queue, Worker } from "bullmq";
import { LockConfigError, Redlock, withLock } from "../../src/index.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { cli, type Outcome } from "./run-cli.ts";
import { nodesOf } from "./use-masters.ts";

const nodes = useRedisNodes(3, { persistence: "always" });
const queueNodes = useRedisNodes(1);
const PAGE = readFileSync(new URL("../../docs/ready.md", import.meta.url), "utf8");

/** The rules of docs/ready.md, word for word. */
function documentedRules(): string[] {
  const [, user, rules = ""] = /^ACL SETUSER (\w+) on >secret (.+)$/m.exec(PAGE) ?? [];
  expect(user).toBe("locks");
  return rules.split(" ");
}

/** Makes the user of docs/ready.md on each master, without some of its permissions. */
async function makeUser(...without: string[]): Promise<string[]> {
  const rules = documentedRules().filter((rule) => !without.includes(rule));
  for (const client of redisClients(nodes)) {
    await client.call("ACL", "SETUSER", "locks", "reset", "on", ">secret", ...rules);
  }
  return nodes.urls.map((url) => url.replace("//", "//locks:secret@"));
}

async function ask(urls: readonly string[], ...args: string[]): Promise<Outcome> {
  return await cli([...args, ...nodesOf(urls)]);
}

function open(urls: readonly string[]): Redlock {
  const redlock = new Redlock({ nodes: urls, restartGuard: "trust-new" });
  onTestFinished(async () => await redlock.close());
  return redlock;
}

beforeEach(async () => {
  const trusting = new Redlock({ ...nodes.redlockOptions });
  await (await trusting.acquire("used before")).release();
  await trusting.close();
});

describe("a user with exactly the permissions of docs/ready.md", () => {
  it("locks, waits in line, and wakes jobs", async () => {
    const redlock = open(await makeUser());
    const lock = await redlock.acquire("account:42");
    const waiting = redlock.acquire("account:42", { waitTimeout: 20_000 });
    await lock.extend();
    expect(await redlock.isLocked("account:42")).toBe(true);
    expect(await lock.release()).toBe("released");
    expect(await (await waiting).release()).toBe("released");

    const connection = { url: queueNodes.urls[0]! };
    const woken = new Promise((resolve) => redlock.once("woken", resolve));
    const worker = new Worker(
      "acl",
      withLock(
        { redlock, key: "account:{{data.account}}", onConflict: "cancelInProgress" },
        async (job, _, signal) => {
          if (job.name !== "first") return;
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
          signal.throwIfAborted();
        },
      ),
      { connection, concurrency: 2 },
    );
    onTestFinished(async () => await worker.close());
    const queue = new Queue("acl", { connection });
    onTestFinished(async () => await queue.close());
    const done = new Promise((resolve) => worker.once("completed", resolve));
    const active = new Promise((resolve) => redlock.once("acquired", resolve));
    await queue.add("first", { account: 1 });
    await active;
    await queue.add("second", { account: 1 }, { timestamp: Date.now() + 1_000 });
    await woken;
    await done;
  });

  it("is found to be fit, and may look at locks", async () => {
    const urls = await makeUser();
    const redlock = open(urls);
    expect((await redlock.ready()).findings).toEqual([]);
    await using _ = await redlock.acquire("account:42", { holder: "me" });

    const [doctor, inspect, ls] = await Promise.all([
      ask(urls, "doctor"),
      ask(urls, "inspect", "account:42"),
      ask(urls, "ls", "account:*"),
    ]);
    expect(doctor).toMatchObject({ code: 0, out: expect.stringContaining("no findings") });
    expect(inspect).toMatchObject({
      code: 0,
      out: expect.stringMatching(/has been held for .* by me\n/),
    });
    expect(ls).toMatchObject({ code: 0, notes: "", out: expect.stringContaining("1 lock held") });
  });
});

describe.each([
  ["+scan", "scan"],
  ["+type", "read"],
])("a user without %s", (permission, what) => {
  it("grants locks; a missing permission to read locks is a finding, and no outage", async () => {
    const urls = await makeUser(permission);
    const redlock = open(urls);
    await using _ = await redlock.acquire("account:42");
    const { findings, nodes: reports } = await redlock.ready();

    expect(findings.map(({ code, severity }) => [code, severity])).toEqual(
      [0, 1, 2].map(() => ["looking-refused", "warning"]),
    );
    expect(findings[0]!.found).toMatch(new RegExp(`^${what}: `));
    expect(reports.every(({ votes }) => votes)).toBe(true);
    expect(await ask(urls, "doctor")).toMatchObject({
      code: 1,
      out: expect.stringContaining("WARNING looking-refused"),
    });
  });
});

it("a user that may not SCAN is told so by ls, and not that there is no quorum", async () => {
  const urls = await makeUser("+scan");
  const redlock = open(urls);
  await expect(redlock.list("*").next()).rejects.toBeInstanceOf(LockConfigError);

  const { code, notes } = await ask(urls, "ls");
  expect(code).toBe(2);
  expect(notes).toMatch(/may not scan the keys of .*expected a user with the permission to SCAN/s);
  expect(notes).not.toContain("NO QUORUM");
});
