import { type Job, Queue, Worker } from "bullmq";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { KeySummary } from "../../src/describe/summary.ts";
import { Redlock, withLock } from "../../src/index.ts";
import { Gate } from "../bullmq/support.ts";
import { writeRules } from "../config/support.ts";
import { redisClient, redisClients, useRedisNodes } from "../support/redis.ts";
import { cli, type Outcome } from "./run-cli.ts";
import { useMasters } from "./use-masters.ts";
import { waitFor } from "../support/wait-for.ts";

const masters = useMasters({ ttl: 10_000, maxTtl: 15_000 });
const { nodes, ask } = masters;
const queueNodes = useRedisNodes(1);

/** Has a client use the masters, which trust themselves from then on. */
async function use(): Promise<void> {
  await (await masters.redlock.acquire("used before")).release();
}

/** Has a client want a lock, and tells what becomes of the votes. */
async function checkVotes(): Promise<string[]> {
  await masters.redlock.tryAcquire("wanted").then(
    async (lock) => await lock?.release(),
    () => undefined,
  );
  return (await masters.redlock.inspect("wanted")).nodes.map(({ vote }) => vote);
}

/** Restarts masters empty, and has a client ask them until they are armed. */
async function lose(...lost: number[]): Promise<void> {
  await use();
  for (const index of lost) {
    await nodes.kill(index);
    await nodes.restart(index, { empty: true });
  }
  await expect
    .poll(checkVotes)
    .toEqual([0, 1, 2].map((index) => (lost.includes(index) ? "quarantined" : "yes")));
}

function nameOf(index: number): string {
  return `127.0.0.1:${nodes.ports[index]}`;
}

describe("inspect", () => {
  it("says which job holds a key, in which process, since when, and what to do", async () => {
    const connection = { url: queueNodes.urls[0]! };
    const [started, end] = [new Gate(), new Gate()];
    const worker = new Worker(
      "invoices",
      withLock({ redlock: masters.redlock, key: "account:{{data.account}}" }, async (_job: Job) => {
        started.open();
        await end.opened;
      }),
      { connection },
    );
    const queue = new Queue("invoices", { connection });
    onTestFinished(async () => {
      await worker.close();
      await queue.close();
    });
    const { id } = await queue.add("charge", { account: 42 });
    await started.opened;

    const { code, out, notes } = await ask("inspect", "account:42");
    end.open();
    expect(notes).toBe("");
    expect(code).toBe(0);
    expect(out).toMatch(
      new RegExp(`^account:42 has been held for \\d.* by job bull:invoices:${id}\n`),
    );
    expect(out).toMatch(new RegExp(`job +bull:invoices:${id}, attempt 1\n`));
    expect(out).toMatch(new RegExp(`process +${process.pid} on \\S+\n`));
    expect(out).toMatch(/since +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, [\d.]+ m?s ago\n/);
    expect(out).toMatch(/expires +in \d[\d.]* s, unless the holder extends it\n/);
    expect(out).toMatch(/fencing token +\d{16}\n/);
    for (const index of [0, 1, 2])
      expect(out).toMatch(new RegExp(`${nameOf(index)} +held, expires in`));
    expect(out).toContain("What to do\n  Nothing, while the job works");
    expect(out).toContain(`end process ${process.pid} on`);
    expect(out).toContain("Do not delete redlock:account:42 on the masters");
  });

  it("reports of a key under minHold that its job is done and nothing needs doing", async () => {
    const connection = { url: queueNodes.urls[0]! };
    const process = withLock(
      { redlock: masters.redlock, key: "a", minHold: 14_000 },
      async (_job: Job) => {
        await Promise.resolve();
      },
    );
    const [queue, worker] = [
      new Queue("mh", { connection }),
      new Worker("mh", process, { connection }),
    ];
    onTestFinished(async () => {
      await worker.close();
      await queue.close();
    });
    await queue.add("charge", {}, { jobId: "one" });
    await waitFor(async () => expect(await queue.getJobState("one")).toBe("completed"));
    const { code, out } = await ask("inspect", "a");
    expect(code).toBe(0);
    expect(out).toMatch(/^a is kept by minHold for another \d[\d.]* s; the job is done\n/);
    expect(out).toMatch(/job +bull:mh:one, attempt 1\n/);
    expect(out).toMatch(new RegExp(`${nameOf(0)} +kept, expires in`));
    expect(out).toMatch(/What to do\n {2}Nothing: the job is done; the key is free within/);
    expect(out).not.toMatch(/end process|Do not delete/);
    expect((await ask("ls")).out).toMatch(
      /\na +job bull:mh:one \(done; kept by minHold\) +\d.* 3 of 3 +0\n/,
    );
    const { holder } = JSON.parse((await ask("inspect", "a", "--json")).out) as KeySummary;
    expect(holder).toMatchObject({ text: expect.stringMatching(/^bull:mh:one /), kept: true });
  });

  it("shows the waiters of a key in order", async () => {
    const connection = { url: queueNodes.urls[0]! };
    const [started, end] = [new Gate(), new Gate()];
    const process = withLock(
      { redlock: masters.redlock, key: "account:{{data.account}}" },
      async (job: Job) => {
        if (job.id !== "holder") return;
        started.open();
        await end.opened;
      },
    );
    const queues = ["invoices", "refunds"].map((name) => new Queue(name, { connection }));
    const workers = queues.map(({ name }) => new Worker(name, process, { connection }));
    onTestFinished(async () => {
      for (const each of [...workers, ...queues]) await each.close();
    });
    const [invoices, refunds] = queues;
    const data = { account: 42 };
    await invoices!.add("charge", data, { jobId: "holder" });
    await started.opened;
    // The holder has the only slot of its queue: a worker of its own parks the others.
    const second = new Worker("invoices", process, { connection });
    workers.push(second);
    const add = async (queue: Queue, jobId: string, priority?: number): Promise<void> => {
      await queue.add("charge", data, priority === undefined ? { jobId } : { jobId, priority });
      await waitFor(async () => expect(await queue.getJobState(jobId)).toBe("delayed"));
    };
    let shown: Outcome, told: Outcome;
    try {
      await add(invoices!, "last", 5);
      await add(invoices!, "first \u001B[31m");
      await add(refunds!, "second");
      await add(invoices!, "third");
      shown = await ask("inspect", "account:42");
      told = await ask("inspect", "account:42", "--json");
    } finally {
      // The Redlock is closed next, and waits for the job.
      end.open();
    }
    const { code, out, notes } = shown;
    expect([code, notes]).toEqual([0, ""]);
    expect(out).toMatch(/^account:42 has been held for .* by job bull:invoices:holder\n/);
    const [, line = ""] = /\nWait list \(4\)\n(.*?)\n\nMasters/s.exec(out) ?? [];
    expect(line.replaceAll(/[\d.]+ m?s\b/g, "TIME").split("\n")).toEqual([
      "  1  job bull:invoices:first \uFFFD[31m, due TIME ago",
      "  2  job bull:refunds:second, due TIME ago",
      "  3  job bull:invoices:third, due TIME ago",
      "  4  job bull:invoices:last, due TIME ago, priority 5",
    ]);
    const summary = JSON.parse(told.out) as KeySummary;
    expect(summary).toMatchObject({ job: { job: "bull:invoices:holder" }, waiting: 4 });
    expect(summary.waiters.map(({ job, priority }) => [job, priority])).toEqual([
      ["bull:invoices:first \u001B[31m", 0],
      ["bull:refunds:second", 0],
      ["bull:invoices:third", 0],
      ["bull:invoices:last", 5],
    ]);
    for (const { since } of summary.waiters) expect(Date.now() - since!).toBeLessThan(60_000);
  });

  it("says where to look when jobs wait for a free key", async () => {
    const connection = { url: queueNodes.urls[0]! };
    const lock = await masters.redlock.acquire("a");
    const process = withLock(
      { redlock: masters.redlock, key: "a" },
      async (_job: Job) => await Promise.resolve(),
    );
    const [queue, worker] = [
      new Queue("idle", { connection }),
      new Worker("idle", process, { connection }),
    ];
    onTestFinished(async () => await queue.close());
    const { id } = await queue.add("charge", {});
    await waitFor(async () => expect(await queue.getJobState(id!)).toBe("delayed"));
    // No worker is left to run it.
    await worker.close();
    await lock.release();
    await masters.redlock.acquire("b", { holder: "me" });
    const listed = await ask("ls");
    expect(listed.code).toBe(0);
    expect(listed.out).toMatch(
      /\nb +me .*\na +\((free|reserved for job bull:idle:\d+)\) +- +- +0 of 3 +1\n/,
    );
    expect(listed.out).toContain("\n1 lock held, 1 free key with waiters\n");
    expect(JSON.parse((await ask("ls", "a", "--json")).out)).toMatchObject({
      locks: [],
      waitedFor: [{ key: "a", state: "free", waiting: 1 }],
    });
    expect((await ask("ls", "a")).out).toContain("\nno locks held, 1 free key with waiters\n");
    const { code, out } = await ask("inspect", "a");
    expect(code).toBe(0);
    expect(out).toMatch(
      /^a is free(, and reserved for job bull:idle:\d+, for another .* at most)?\n/,
    );
    expect(out).toContain(`Wait list (1)\n  1  job bull:idle:${id}, due `);
    const advice = out.replaceAll(/\s+/g, " ");
    expect(advice).toContain("The key is free, and the first of its waiters (1) is woken within");
    expect(advice).toContain(
      `workers of the queue of bull:idle:${id} run, and that the queue is not paused`,
    );
  });

  it("tells programs the same", async () => {
    const lock = await masters.redlock.acquire("a", { holder: "nightly \u001B[31mreport" });
    const { code, out } = await ask("inspect", "a", "--json");
    expect(code).toBe(0);
    const summary = JSON.parse(out) as Record<string, unknown>;
    expect(summary).toMatchObject({
      key: "a",
      state: "held",
      holder: { text: "nightly \u001B[31mreport", fencingToken: lock.fencingToken },
      job: null,
      heldBy: 3,
      quorum: 2,
      lastToken: lock.fencingToken,
    });
    expect(summary["remaining"]).toBeGreaterThan(5_000);
    expect(summary["age"]).toBeGreaterThanOrEqual(0);
    expect(summary["nodes"]).toHaveLength(3);
    // A terminal is not steered by what others have stored.
    const { out: shown } = await ask("inspect", "a");
    expect(shown).toContain("by nightly \uFFFD[31mreport");
    expect(shown).not.toContain("\u001B");
  });

  it("says that a key is free, and when it was held last", async () => {
    expect(await ask("inspect", "never")).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^never is free\n\nMasters \(a lock needs 2 of 3\)\n/),
    });
    // The key may be spelt in another way than its rule does.
    const never = await ask("inspect", "New York");
    expect(never.out).toContain("No client has held this key in the last hour. Check its spelling");
    const lock = await masters.redlock.acquire("a");
    await lock.release();
    const { out } = await ask("inspect", "a");
    expect(out).not.toContain("What to do");
    expect(out).toMatch(
      new RegExp(`^a is free\n\nHolder\n  last fencing token  ${lock.fencingToken}, of 20`),
    );
  });

  it("says that a key was given with the prefix, unless there is such a key", async () => {
    const hint = "Give keys without the prefix: bullmq-redlock inspect ";
    const { code, out } = await ask("inspect", "redlock:account:42");
    expect(code).toBe(0);
    expect(out).toContain(`${hint}account:42\n`);
    expect(out).not.toContain("No client has held");
    expect((await ask("inspect", "redlock:New $(York)")).out).toContain(`${hint}'New $(York)'\n`);
    const mine = await ask("inspect", "mine:a", "--prefix", "mine:");
    expect(mine.out).toContain(`${hint}a\n`);
    expect((await ask("inspect", "mine:a")).out).not.toContain(hint);
    const lock = await masters.redlock.acquire("redlock:account:42");
    expect((await ask("inspect", "redlock:account:42")).out).not.toContain(hint);
    await lock.release();
    expect((await ask("inspect", "redlock:account:42")).out).not.toContain(hint);
  });

  it("names a master that is down or hangs, and knows the holder all the same", async () => {
    await masters.redlock.acquire("a", { holder: "me" });
    nodes.pause(0);
    const hung = await ask("inspect", "a", "--timeout", "300ms");
    expect(hung.code).toBe(0);
    expect(hung.out).toMatch(/^a has been held for .* by me\n/);
    expect(hung.out).toMatch(new RegExp(`${nameOf(0)} +NO ANSWER: (timed out|unreachable)`));
    nodes.resume(0);
    await nodes.kill(2);
    const dead = await ask("inspect", "a");
    expect(dead.code).toBe(0);
    expect(dead.out).toMatch(/^a has been held for .* by me\n/);
    expect(dead.out).toMatch(new RegExp(`${nameOf(2)} +NO ANSWER: unreachable \\(ECONNREFUSED\\)`));
    expect(dead.out).toContain(`${nameOf(2)} did not answer. The others are a quorum`);
    // Half of a lock may be on the other one.
    nodes.pause(0);
    const half = await cli([
      "inspect",
      "a",
      "--timeout",
      "300ms",
      "--node",
      nodes.urls[0]!,
      "--node",
      nodes.urls[1]!,
      "--node",
      queueNodes.urls[0]!,
    ]);
    // The third master is none of those that are in use: it has no guard, and no vote.
    expect(half.code).toBe(3);
    expect(half.out).toMatch(/^a is unavailable: no 2 masters name the same holder/);
    expect(half.out.replaceAll(/\s+/g, " ")).toContain(
      "did not answer. The other part of a lock may be there.",
    );
  });

  it("names masters that lost their memory, and says how long a key is unavailable", async () => {
    await lose(0);
    const minority = await ask("inspect", "account:99");
    expect(minority.code).toBe(0);
    expect(minority.out).toMatch(/^account:99 is free\n/);
    expect(minority.out).toMatch(
      new RegExp(`${nameOf(0)} +free; cannot vote: new, or lost its memory; can vote in \\d+`),
    );
    expect(minority.out).toContain(`Nothing about ${nameOf(0)}: the other masters are a quorum.`);
    const noted = await ask("ls");
    expect(noted).toMatchObject({ code: 0, out: "no locks held\n" });
    expect(noted.notes).toMatch(
      new RegExp(
        `^${nameOf(0)} cannot vote: it is new, or lost its memory; it can vote in [\\d.]+ s\n$`,
      ),
    );

    await nodes.kill(1);
    // At once: the quarantine of about 20 s must last until each of them has asked.
    const [{ code, out }, told, listed] = await Promise.all([
      ask("inspect", "account:99"),
      ask("inspect", "account:99", "--json"),
      ask("ls"),
    ]);
    expect(code).toBe(3);
    expect(out).toMatch(/^account:99 is unavailable: 1 of 3 masters can vote, a lock needs 2/);
    const advice = out.replaceAll(/\s+/g, " ");
    expect(advice).toMatch(/Wait [\d.]+ s; no action is needed. Locks are unavailable while/);
    expect(advice).toContain(`Or bring back ${nameOf(1)}.`);
    expect(advice).not.toContain("is certain");
    expect(told.code).toBe(3);
    const summary = JSON.parse(told.out) as KeySummary;
    expect(summary).toMatchObject({ state: "voteless", voting: 1, quorum: 2 });
    expect(summary.quorumIn).toBeGreaterThan(1_000);
    expect(summary.nodes.map(({ vote }) => vote)).toEqual(["quarantined", "unknown", "yes"]);
    expect(listed.code).toBe(3);
    expect(listed.notes).toMatch(/\nWait [\d.]+ s; no action is needed/);
  });

  it.each([
    ["cancel", ["cancel", "account:99"]],
    ["wake", ["wake", "account:99"]],
    ["release", ["release", "account:99"]],
    ["release --force", ["release", "account:99", "--force", "--reason", "a test"]],
  ])("does not call a key free whose holder may be forgotten: %s", async (_, words) => {
    await lose(0);
    await nodes.kill(1);
    const [asJson, asText] = await Promise.all([ask(...words, "--json"), ask(...words)]);
    expect(asText).toMatchObject({ code: 3, out: "" });
    expect(asText.notes).toMatch(/^NO QUORUM: too few masters can vote, 2 of 3 are needed/);
    expect(asText.notes).toMatch(
      new RegExp(`${nameOf(0)}  quarantined \\(new, or lost its memory`),
    );
    expect(asJson.code).toBe(3);
    expect(JSON.parse(asJson.out)).toMatchObject({
      error: {
        code: "ERR_REDLOCK_UNAVAILABLE",
        masters: [{ answers: true }, { answers: false }, { answers: true, cause: null }],
      },
    });
  });

  it("tells unused masters from masters that lost their memory", async () => {
    const { code, out } = await ask("inspect", "a");
    expect(code).toBe(0);
    expect(out).toContain("No master has a guard yet");
    await lose(0);
    await nodes.kill(2);
    await nodes.restart(2, { empty: true });
    const lost = await ask("inspect", "a");
    expect(lost.code).toBe(3);
    expect(lost.out).toMatch(
      new RegExp(`${nameOf(2)} +free; cannot vote: new, or lost its memory\n`),
    );
    expect(lost.out).toContain(
      `The quarantine of ${nameOf(2)} starts when a client asks for a lock`,
    );
  });

  it("reports that there is no quorum, each master's answer, and what is known", async () => {
    await masters.redlock.acquire("a", { holder: "me" });
    await nodes.kill(1);
    await nodes.kill(2);
    for (const args of [["inspect", "a"], ["ls"]]) {
      const { code, out, notes } = await ask(...args);
      expect(code).toBe(3);
      if (args[0] === "ls") expect(out).toBe("");
      else {
        expect(out).toMatch(/^a is held or free: NOT CERTAIN, too few masters answered/);
        expect(out).toMatch(new RegExp(`${nameOf(0)} +held by me, expires in [\\d.]+ s\n`));
        expect(out).toMatch(new RegExp(`${nameOf(1)} +NO ANSWER: unreachable`));
        expect(out).not.toContain("What to do");
      }
      expect(notes).toContain("NO QUORUM: too few masters answered, 2 of 3 are needed.");
      expect(notes).toContain(`${nameOf(0)}  answered\n`);
      for (const index of [1, 2])
        expect(notes).toContain(`${nameOf(index)}  unreachable (ECONNREFUSED)\n`);
    }
  });

  it("tells programs that there is no quorum, too", async () => {
    await masters.redlock.acquire("a", { holder: "me" });
    await nodes.kill(1);
    await nodes.kill(2);
    for (const args of [["inspect", "a"], ["ls"]]) {
      const { code, out, notes } = await ask(...args, "--json");
      expect(code).toBe(3);
      expect(notes).toContain("NO QUORUM");
      expect(JSON.parse(out)).toEqual({
        error: {
          exitCode: 3,
          code: "ERR_REDLOCK_UNAVAILABLE",
          message: expect.stringMatching(args[0] === "ls" ? /^1 of 3 / : /^"a": 1 of 3 /) as string,
          problems: null,
          quorum: 2,
          masters: [
            { node: nameOf(0), answers: true, cause: null },
            ...[1, 2].map((index) => ({
              node: nameOf(index),
              answers: false,
              cause: "unreachable (ECONNREFUSED)",
            })),
          ],
        },
        ...(args[0] === "ls" ? {} : { known: expect.any(Object) as object }),
      });
    }
    const { known } = JSON.parse((await ask("inspect", "a", "--json")).out) as { known: unknown };
    expect(known).toMatchObject({
      certain: false,
      key: "a",
      state: "unknown",
      taken: null,
      holder: null,
      nodes: [
        { node: nameOf(0), state: "held", holder: { text: "me" } },
        { state: "unreachable" },
        { state: "unreachable" },
      ],
    });
    await nodes.kill(0);
    expect((await ask("inspect", "a")).out).toBe("");
  });

  it("waits for a master that hangs no longer than it is told", async () => {
    for (const args of [["inspect", "a"], ["ls"]]) {
      nodes.pause(0);
      let isPatient = true;
      // More than the two seconds that a worker waits for its first connection.
      const patient = ask(...args, "--timeout", "20s").finally(() => (isPatient = false));
      const hasty = await ask(...args, "--timeout", "100ms");
      expect(isPatient).toBe(true);
      expect(hasty.out + hasty.notes).toMatch(
        new RegExp(`${nameOf(0)} +(NO ANSWER|unreachable|did not answer)`),
      );
      nodes.resume(0);
      const { out, notes } = await patient;
      expect(out + notes).not.toContain("did not answer");
    }
  });

  it("finds a value that never expires, and says how to delete it", async () => {
    const [one, two, three] = redisClients(nodes);
    await one!.set("redlock:a", "left over");
    const minority = await ask("inspect", "a");
    expect(minority.code).toBe(1);
    expect(minority.out).toMatch(/^a is free\n/);
    expect(minority.out).toMatch(
      new RegExp(`${nameOf(0)} +held by another program, never expires`),
    );
    await two!.lpush("redlock:a", "a list");
    const blocked = await ask("inspect", "a");
    expect(blocked.code).toBe(1);
    expect(blocked.out).toMatch(
      /^a is blocked: a value that is no lock, or never expires, is stored under it/,
    );
    expect(blocked.out).toMatch(new RegExp(`${nameOf(1)} +not a lock but a list`));
    expect(blocked.out.replaceAll(/\s+/g, " ")).toContain(
      `Find the program that stores redlock:a on ${nameOf(0)} and ${nameOf(1)}`,
    );
    expect(blocked.out).toContain("redis-cli -h HOST -p PORT DEL 'redlock:a'\n");
    // Once that is done, the key is free.
    await one!.del("redlock:a");
    await two!.del("redlock:a");
    expect(await ask("inspect", "a")).toMatchObject({ code: 0 });
    // A lock in the plain form, as other programs take it.
    for (const client of [one, two, three]) await client!.set("redlock:a", "xyz", "PX", 9_000);
    const other = await ask("inspect", "a");
    expect(other.code).toBe(0);
    expect(other.out).toMatch(/^a is held by another program\n/);
    expect(other.out.replaceAll(/\s+/g, " ")).toMatch(
      /If it has ended, the key is free within [\d.]+ s/,
    );
  });

  it("gives no command that runs what is in a key", async () => {
    const key = `a'; $(reboot) \`reboot\` "!!`;
    for (const client of redisClients(nodes)) await client.set(`redlock:${key}`, "left over");
    const { code, out } = await ask("inspect", key);
    expect(code).toBe(1);
    expect(out).toContain(`DEL 'redlock:a'\\''; $(reboot) \`reboot\` "!!'\n`);
  });

  it("says that contenders hold a part each", async () => {
    const [one, two] = redisClients(nodes);
    await one!.set("redlock:a", "100:o1:first", "PX", 9_000);
    await two!.set("redlock:a", "102:o2:second", "PX", 9_000);
    const { code, out } = await ask("inspect", "a");
    expect(code).toBe(0);
    expect(out).toMatch(/^a is unavailable: no 2 masters name the same holder\n/);
    expect(out).toMatch(/held by first, expires in .*\n.*held by second, expires in .*\n.*free\n/);
    expect(out).toContain("Ask again in a moment");
  });

  it("looks under the prefix it is told, or that of the file", async () => {
    await using mine = new Redlock({ ...nodes.redlockOptions, prefix: "mine:" });
    await mine.acquire("a", { holder: "me" });
    expect((await ask("inspect", "a")).out).toMatch(/^a is free/);
    expect((await ask("inspect", "a", "--prefix", "mine:")).out).toMatch(
      /^a has been held for .* by me\n/,
    );
    const file = await writeRules(
      `nodes: [${nodes.urls.join(", ")}]\nprefix: "mine:"\nrules: [{key: a}]\n`,
    );
    expect(await cli(["inspect", "a", "--config", file])).toMatchObject({
      code: 0,
      notes: "",
      out: expect.stringMatching(/^a has been held for .* by me\n/),
    });
    // Nodes of the command go before those of the file, whatever is wrong with them.
    const other = await writeRules(
      'nodes: ["${MISSING}", http://x]\nprefix: "mine:"\nrules: [{key: "{{dta}}"}]\n',
    );
    const { code, out, notes } = await ask("inspect", "a", "--config", other);
    expect([code, notes]).toEqual([
      0,
      `${other} has 3 problems; bullmq-redlock check-config shows them\n`,
    ]);
    expect(out).toMatch(/^a has been held for .* by me\n/);
  });
});

describe("ls", () => {
  it("lists what is held, the oldest first, and what matches a pattern", async () => {
    expect(await ask("ls")).toEqual({ code: 0, out: "no locks held\n", notes: "" });
    const first = await masters.redlock.acquire("account:1", { holder: "first" });
    const next = masters.redlock.acquire("account:1", { waitTimeout: 60_000 });
    await masters.redlock.acquire("account:2", { holder: "second" });
    await expect.poll(async () => (await masters.redlock.inspect("account:1")).waiting).toBe(1);
    await masters.redlock.acquire(`order:${"x".repeat(80)}`, { holder: "third" });
    const { code, out, notes } = await ask("ls");
    expect([code, notes]).toEqual([0, ""]);
    expect(
      out.split("\n").map((line) => line.split(/ {2,}/).filter((_, i) => i !== 2 && i !== 3)),
    ).toEqual([
      ["KEY", "HOLDER", "MASTERS", "WAITERS"],
      ["account:1", "first", "3 of 3", "1"],
      ["account:2", "second", "3 of 3", "0"],
      [`order:${"x".repeat(51)}...`, "third", "3 of 3", "0"],
      [""],
      ["3 locks held"],
      [""],
    ]);
    const some = await ask("ls", "account:*", "--json");
    const listed = JSON.parse(some.out) as { locks: { key: string }[]; masters: unknown };
    expect(listed.locks.map(({ key }) => key)).toEqual(["account:1", "account:2"]);
    expect(listed.masters).toEqual(
      [0, 1, 2].map((index) => ({
        node: nameOf(index),
        answers: true,
        vote: "yes",
        quarantine: null,
        cause: null,
      })),
    );
    await first.release();
    await (await next).release();
  });

  it("lists every lock with a master down or hung, and names it", async () => {
    await Promise.all(
      Array.from({ length: 300 }, async (_, n) => await masters.redlock.acquire(`k:${n}`)),
    );
    await nodes.kill(1);
    const dead = await ask("ls");
    expect(dead.code).toBe(0);
    expect(dead.out).toContain("\n300 locks held\n");
    expect(dead.notes).toContain(`${nameOf(1)} did not answer: unreachable (ECONNREFUSED)\n`);
    expect(dead.notes).toContain(
      `The list is complete all the same: ${nameOf(0)} and ${nameOf(2)} are`,
    );
    await nodes.restart(1);
    nodes.pause(2);
    const hung = await ask("ls", "--timeout", "500");
    expect(hung.out).toContain("\n300 locks held\n");
    expect(hung.notes).toContain(`${nameOf(2)} did not answer`);
  });

  it("says that what is under a key is no lock", async () => {
    for (const client of redisClients(nodes)) await client.lpush("redlock:a", "a list");
    const { code, out } = await ask("ls");
    expect(code).toBe(1);
    expect(out).toMatch(/\na +not a lock but a list +\? +\? +0 of 3 +0 +stuck: inspect it/);
    const [one, two] = redisClients(nodes);
    await one!.del("redlock:a");
    expect((await ask("ls")).out).toMatch(/\na +not a lock but a list +\?/);
    await two!.del("redlock:a");
    expect((await ask("ls")).out).toBe("no locks held\n");
    await one!.set("redlock:a", "100:o1:first", "PX", 9_000);
    await two!.set("redlock:a", "102:o2:second", "PX", 9_000);
    expect((await ask("ls")).out).toMatch(/\na +not a lock but a list +\?/);
    await redisClient(nodes.urls[2]!).del("redlock:a");
    expect((await ask("ls")).out).toMatch(/\na +no holder has a quorum +\?/);
  });

  it("marks a value that never expires", async () => {
    for (const client of redisClients(nodes)) await client.set("redlock:a", "left over");
    const { code, out } = await ask("ls");
    expect(code).toBe(1);
    expect(out).toMatch(/a +another program +\? +\? +3 of 3 +0 +stuck: inspect it/);
  });
});

describe("doctor", () => {
  beforeEach(use);

  it("shows whether each master votes, and what to do about each finding", async () => {
    const { code, out, notes } = await ask("doctor");
    expect([code, notes]).toEqual([1, ""]);
    expect(out).toMatch(/^3 of 3 masters can vote; a lock needs 2\n/);
    for (const index of [0, 1, 2])
      expect(out).toMatch(new RegExp(`  ${nameOf(index)} +\\S+ [\\d.]+ +.* ms +[+-]\\d+ m?s +`));
    expect(out).toContain(
      `WARNING persistence (${nameOf(0)}, ${nameOf(1)} and ${nameOf(2)}): no append-only file\n  Why it matters: `,
    );
    expect(out).toContain("  What to do: Set `appendonly yes`");
    expect(out).toMatch(/\n1 finding\n$/);
  });

  it("finds nothing when what it finds is known, and tells programs so", async () => {
    const known = ["--ignore", "persistence"];
    expect(await ask("doctor", ...known)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/\nno findings, 3 ignored\n$/),
    });
    const { code, out } = await ask("doctor", ...known, "--json");
    expect(code).toBe(0);
    const report = JSON.parse(out) as { findings: unknown[]; nodes: unknown[]; quorum: number };
    expect(report).toMatchObject({ findings: [], quorum: 2 });
    expect(report.nodes).toHaveLength(3);
  });

  it("names a master that is down, and one that evicts locks", async () => {
    const [one] = redisClients(nodes);
    await one!.config("SET", "maxmemory-policy", "allkeys-lru");
    onTestFinished(async () => void (await one!.config("SET", "maxmemory-policy", "noeviction")));
    await nodes.kill(2);
    const { code, out } = await ask("doctor");
    expect(code).toBe(1);
    expect(out).toMatch(/^2 of 3 masters can vote; a lock needs 2\n/);
    expect(out).toContain(`WARNING eviction (${nameOf(0)}): maxmemory-policy allkeys-lru\n`);
    expect(out).toContain(`WARNING unreachable (${nameOf(2)}): ECONNREFUSED\n`);
    expect(out).toMatch(new RegExp(`  ${nameOf(2)} +- +- +- +- +no\n`));
  });

  it("knows in the shortest time that the others can vote while one hangs", async () => {
    nodes.pause(1);
    const { code, out } = await ask("doctor", "--timeout", "2s");
    expect(out).toMatch(/^2 of 3 masters can vote; a lock needs 2\n/);
    expect(out).toContain(`WARNING unreachable (${nameOf(1)}): no answer within 1000 ms\n`);
    expect(code).toBe(1);
  });

  it("says that locks are unavailable, whatever is ignored", async () => {
    await nodes.kill(0);
    await nodes.kill(1);
    const { code, out } = await ask("doctor", "--timeout", "2s", "--ignore", "no-quorum");
    expect(code).toBe(3);
    expect(out).toMatch(/^NO LOCKS: 1 of 3 masters can vote, a lock needs 2\n/);
    expect(out).toContain(`FATAL unreachable (${nameOf(0)} and ${nameOf(1)}): ECONNREFUSED\n`);
  });

  it("does not say that masters can vote which lost their memory", async () => {
    await lose(0);
    const minority = await ask("doctor");
    expect(minority.code).toBe(1);
    expect(minority.out).toMatch(/^3 of 3 masters can vote, 2 of them now; a lock needs 2\n/);
    await nodes.kill(1);
    const { code, out } = await ask("doctor", "--ignore", "quarantined");
    expect(code).toBe(3);
    expect(out).toMatch(
      /^NO LOCKS: 1 of 3 masters can vote now, a lock needs 2; available again in [\d.]+ s\n/,
    );
  });

  it("finds the queue's Redis among the masters", async () => {
    const { code, out } = await ask("doctor", "--queue", nodes.urls[1]!);
    expect(code).toBe(1);
    expect(out).toContain(`WARNING queue-server (${nameOf(1)})`);
  });
});
