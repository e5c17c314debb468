import { type Job, Queue, Worker } from "bullmq";
import { describe, expect, it, onTestFinished } from "vitest";
import { getLock, withLock, type WithLockOptions } from "../../src/index.ts";
import { Gate } from "../bullmq/support.ts";
import { valuesOf } from "../hazards/support.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { useMasters } from "./use-masters.ts";

const masters = useMasters({ ttl: 10_000, maxTtl: 60_000 });
const { nodes, ask } = masters;
const queueNodes = useRedisNodes(1);

function serve(
  options: Omit<WithLockOptions, "redlock" | "key">,
  processor: (job: Job, signal: AbortSignal) => Promise<unknown>,
): { queue: Queue; worker: Worker } {
  const connection = { url: queueNodes.urls[0]! };
  const worker = new Worker(
    "invoices",
    withLock(
      { redlock: masters.redlock, key: "account", ...options },
      async (job: Job, _token, signal) => {
        return await processor(job, signal);
      },
    ),
    { connection, concurrency: 50 },
  );
  const queue = new Queue("invoices", { connection });
  onTestFinished(async () => {
    await worker.close();
    await queue.close();
  });
  return { queue, worker };
}

describe("waiters", () => {
  it("lists all waiters, in order, with a master down", async () => {
    const gate = new Gate();
    const { queue } = serve({}, async () => await gate.opened);
    await queue.addBulk(Array.from({ length: 31 }, (_, i) => ({ name: `n${i}`, data: {} })));
    await expect.poll(async () => (await masters.redlock.inspect("account")).waiting).toBe(30);
    const walked: (string | undefined)[] = [];
    for await (const { job } of masters.redlock.waiters("account")) walked.push(job);
    await nodes.kill(2);
    const { code, out, notes } = await ask("waiters", "account", "--json");
    const human = await ask("waiters", "account");
    await nodes.restart(2);
    gate.open();
    expect(notes).toBe("");
    expect(code).toBe(0);
    const { key, waiters } = JSON.parse(out) as { key: string; waiters: { job: string }[] };
    expect(key).toBe("account");
    expect(waiters.map(({ job }) => job)).toEqual(walked);
    expect(new Set(walked).size).toBe(30);
    expect(human.code).toBe(0);
    expect(human.out).toMatch(/^account has 30 waiters\n/);
    expect(human.out).toContain("30  job bull:invoices:");
  });

  it("lists an empty wait list, and fails with 3 when too few masters answer", async () => {
    await (await masters.redlock.acquire("account")).release();
    expect(await ask("waiters", "account")).toMatchObject({
      code: 0,
      out: "account has 0 waiters\n",
    });
    await nodes.kill(1);
    await nodes.kill(2);
    const { code, out } = await ask("waiters", "account", "--json", "--timeout", "500");
    await nodes.restart(1);
    await nodes.restart(2);
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ error: { exitCode: 3 } });
  });
});

describe("cancel", () => {
  it("stops a listening job through its signal, with a master down, and sees it stop", async () => {
    const started = new Gate();
    const { queue, worker } = serve({ onConflict: "cancelInProgress" }, async (_job, signal) => {
      started.open();
      await new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason as Error)),
      );
    });
    const failed = new Promise<Error>((resolve) => {
      worker.on("failed", (_, error) => resolve(error));
    });
    await queue.add("a", {});
    await started.opened;
    await expect.poll(() => valuesOf(redisClients(nodes), "account")).not.toContain(null);
    await nodes.kill(2);
    const { code, out } = await ask("cancel", "account", "--reason", "wrong customer");
    await nodes.restart(2);
    expect(out).toMatch(
      /^job bull:invoices:\d+ no longer holds the key: it stopped or had finished\n/,
    );
    expect(code).toBe(0);
    expect((await failed).message).toMatch(/^cancelled by .*: wrong customer$/);
  });

  it("stops each of several holders, or the one in a slot", async () => {
    const started: number[] = [];
    const stopped: number[] = [];
    const options = { onConflict: "cancelInProgress", limit: 3 } as const;
    const { queue } = serve(options, async (job, signal) => {
      const slot = getLock(job)?.slot ?? -1;
      started.push(slot);
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => {
          stopped.push(slot);
          resolve();
        });
      });
    });
    await queue.addBulk(["a", "b", "c"].map((name) => ({ name, data: {} })));
    await expect.poll(() => started.length).toBe(3);
    const one = await ask("cancel", "account", "--slot", "1", "--json");
    expect(JSON.parse(one.out)).toMatchObject({
      holders: [{ slot: 1 }],
      asked: true,
      stopped: true,
    });
    expect(stopped).toEqual([1]);
    const none = await ask("cancel", "account", "--slot", "1");
    expect({ ...none, notes: "" }).toMatchObject({ code: 0, out: "No client holds slot 1.\n" });
    const told = await ask("cancel", "account", "--slot", "1", "--json");
    expect(JSON.parse(told.out)).toMatchObject({ holders: [], asked: false, stopped: true });
    const others = await ask("cancel", "account");
    expect(others.out).toMatch(
      /^(job bull:invoices:\d+ no longer holds the key: it stopped or had finished\n){2}/,
    );
    expect(others.code).toBe(0);
    expect(new Set(stopped)).toEqual(new Set([0, 1, 2]));
  });

  it("says of a job that goes on that it was asked in vain, and ends with 1", async () => {
    const gate = new Gate();
    const { queue } = serve({}, async () => await gate.opened);
    await queue.add("a", {});
    await expect.poll(async () => (await masters.redlock.inspect("account")).locked).toBe(true);
    const { code, out } = await ask("cancel", "account", "--timeout", "300");
    const told = await ask("cancel", "account", "--json", "--timeout", "300");
    gate.open();
    expect([code, out]).toEqual([1, expect.stringContaining("was asked, and still runs after")]);
    expect(JSON.parse(told.out)).toMatchObject({ key: "account", asked: true, stopped: false });
  });

  it("waits for no holder that is no job, and says what removes its lock", async () => {
    await using lock = await masters.redlock.acquire("account", { holder: "an import" });
    const { code, out } = await ask("cancel", "account", "--timeout", "600000");
    expect([code, out]).toEqual([
      1,
      "an import is no job, and only a job stops when it is asked; this removes the lock: bullmq-redlock release account --force\n",
    ]);
    expect(lock.held).toBe(true);
  });

  it("says that the key is free", async () => {
    await (await masters.redlock.acquire("account")).release();
    const { code, out } = await ask("cancel", "account");
    expect({ code, out }).toEqual({ code: 0, out: "account is free\n" });
  });
});

it("wake and cancel do not take a value that is no lock for a holder, or for none", async () => {
  for (const client of redisClients(nodes)) await client.lpush("redlock:list", "a");
  const woken = await ask("wake", "list");
  expect(woken.out).toContain("list is not free, and most masters name no holder.");
  const cancelled = await ask("cancel", "list");
  expect([cancelled.code, cancelled.out]).toEqual([1, expect.stringContaining("list is blocked")]);
});

describe("wake", () => {
  it("wakes the first waiter of a free key, with a master down", async () => {
    // Its heartbeat would set the key again.
    const lasting = { ttl: 60_000, heartbeat: false } as const;
    const holder = await masters.redlock.acquire("account", { holder: "an import", ...lasting });
    const { queue, worker } = serve({}, async () => "done");
    const parked = new Promise((resolve) => masters.redlock.once("parked", resolve));
    const job = await queue.add("a", {});
    await parked;
    await expect.poll(async () => (await masters.redlock.inspect("account")).waiting).toBe(1);
    // Paused, it cannot take the key before the command does: a check of its process may wake the job just before.
    await worker.pause();
    const held = await ask("wake", "account");
    expect(held).toEqual({
      code: 0,
      out: "account is held by an import; its 1 waiter is woken when it is released\n",
      notes: "",
    });

    // The release wakes no waiter: the key is due only when the lock would have expired.
    await Promise.all(
      redisClients(nodes).map(async (client) => await client.del("redlock:account")),
    );
    await nodes.kill(2);
    const completed = new Promise((resolve) => worker.once("completed", resolve));
    const { code, out, notes } = await ask("wake", "account", "--json");
    await worker.resume();
    await completed;
    await nodes.restart(2);
    expect([code, notes]).toEqual([0, ""]);
    expect(JSON.parse(out)).toMatchObject({
      key: "account",
      // Reserved by such a check.
      outcome: expect.stringMatching(/^(woken|reserved)$/),
      waiter: { job: `bull:invoices:${job.id}` },
      waiting: 1,
      holder: null,
    });
    await holder.release();
  });

  it("reports that there is no waiter, and fails with 3 when too few masters answer", async () => {
    await (await masters.redlock.acquire("account")).release();
    expect(await ask("wake", "account")).toEqual({
      code: 0,
      out: "account is free, and has no waiters\n",
      notes: "",
    });
    await nodes.kill(1);
    await nodes.kill(2);
    const { code, out } = await ask("wake", "account", "--json", "--timeout", "500");
    await nodes.restart(1);
    await nodes.restart(2);
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ error: { exitCode: 3 } });
  });
});
