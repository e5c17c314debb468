import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { on, once } from "node:events";
import { text } from "node:stream/consumers";
import { Queue, Worker } from "bullmq";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { Redlock, withLock } from "../../src/index.ts";
import { useRedisNodes } from "../support/redis.ts";
import { cli, cliProcess, type Outcome, startCli } from "./run-cli.ts";

const nodes = useRedisNodes(3);
const queueNodes = useRedisNodes(1);
let redlock: Redlock;

beforeEach(async () => {
  redlock = new Redlock({ ...nodes.redlockOptions, ttl: 15_000 });
  // From then on the masters vote, also for the command, which does not trust new ones.
  await (await redlock.acquire("any")).release();
  return async () => await redlock.close();
});

function environment(): NodeJS.ProcessEnv {
  return { BULLMQ_REDLOCK_NODES: nodes.urls.join(",") };
}

async function ask(...args: string[]): Promise<Outcome> {
  return await cli(args, environment());
}

/** In a process of its own: a hold listens to the signals of its process. */
async function askToHold(...args: string[]): Promise<Outcome> {
  return await cliProcess(["hold", "account", ...args], { env: environment() });
}

/** Starts a hold; resolves when it has begun. */
async function startHold(...args: string[]): Promise<{
  child: ChildProcessWithoutNullStreams;
  begun: string;
  ended: Promise<[code: number | null, notes: string]>;
}> {
  const child = startCli(["hold", "account", ...args], environment());
  onTestFinished(() => void child.kill("SIGKILL"));
  const exit = once(child, "close") as Promise<[number | null]>;
  const ended = Promise.all([exit.then(([code]) => code), text(child.stderr)]);
  let begun = "";
  for await (const [chunk] of on(child.stdout, "data", { close: ["end"] })) {
    begun += String(chunk);
    if (/(^\}|release account)\n$/m.test(begun)) break;
  }
  return { child, begun, ended };
}

const FOR_LONG = ["--for", "10m", "--reason", "ledger migration"];

describe("hold", () => {
  it("parks the jobs of its key until it is released, with a master down", async () => {
    await nodes.kill(2);
    const { begun, ended } = await startHold(...FOR_LONG);
    expect(begun).toMatch(/^account is on hold for 10 min, until 20\d\d-.* UTC\n/);
    expect(begun).toContain("bullmq-redlock release account\n");

    const connection = { url: queueNodes.urls[0]! };
    const worker = new Worker(
      "held",
      withLock({ redlock, key: "account" }, async () => "ran"),
      {
        connection,
      },
    );
    const queue = new Queue("held", { connection });
    onTestFinished(async () => {
      await worker.close();
      await queue.close();
    });
    const completed = new Promise((resolve) => worker.once("completed", resolve));
    const parked = new Promise((resolve) => redlock.once("parked", resolve));
    await queue.add("a", {});
    expect(await parked).toMatchObject({ keys: ["account"], reason: "conflict" });
    const { out } = await ask("inspect", "account");
    expect(out).toMatch(
      /^account has been held for .+ by an operator on .+ \(hold\): ledger migration\n/,
    );
    expect(out).toContain("bullmq-redlock release account");

    const released = await ask("release", "account");
    expect(released.out).toMatch(/\nRemoved, .*\nIts waiter is told to start/);
    expect(released.code).toBe(0);
    await completed;
    const [code, notes] = await ended;
    await nodes.restart(2);
    expect(notes).toContain("account: the hold has ended early: ");
    expect(code).toBe(1);
  });

  it.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "ends at %s, and frees the key",
    async (signal) => {
      const { child, begun, ended } = await startHold(...FOR_LONG, "--json");
      const { key, until, fencingToken, reason } = JSON.parse(begun) as Record<string, unknown>;
      expect([key, reason]).toEqual(["account", "ledger migration"]);
      expect(Number(until) - Date.now()).toBeGreaterThan(500_000);
      expect((await redlock.inspect("account")).holder).toMatchObject({ fencingToken });
      child.kill(signal);
      expect(await ended).toEqual([0, "account: the hold has ended\n"]);
      expect(await redlock.isLocked("account")).toBe(false);
    },
  );

  it("ends after its time", async () => {
    const { ended } = await startHold("--for", "1s", "--reason", "a try");
    expect(await ended).toEqual([0, "account: the hold has ended\n"]);
    expect(await redlock.isLocked("account")).toBe(false);
  });

  it("begins after the present holder, and gives up after its timeout", async () => {
    const lock = await redlock.acquire("account", { holder: "an import" });
    const inVain = await askToHold(...FOR_LONG, "--timeout", "500");
    expect(inVain.code).toBe(1);
    expect(inVain.notes).toMatch(
      /^account is held by an import; the hold begins when it is released\naccount is not on hold: /,
    );
    const asJson = await askToHold(...FOR_LONG, "--timeout", "500", "--json");
    expect(JSON.parse(asJson.out)).toMatchObject({
      error: { exitCode: 1, code: "ERR_REDLOCK_CONFLICT" },
    });
    const starting = startHold(...FOR_LONG);
    await expect
      .poll(async () => (await redlock.inspect("account")).waiting, { timeout: 15_000 })
      .toBe(1);
    await lock.release();
    const { child, ended } = await starting;
    child.kill("SIGINT");
    expect((await ended)[0]).toBe(0);
  });

  it("takes a time and a reason", async () => {
    for (const [args, message] of [
      [["--for", "10m", "--reason", " "], "--reason: found an empty text"],
      [["--for", "500", "--reason", "x"], '--for: found "500", expected 1000 to 2147483647 ms'],
    ] as const) {
      const { code, notes } = await ask("hold", "account", ...args);
      expect(code).toBe(2);
      expect(notes).toContain(message);
    }
  });

  it("fails with 3 when too few masters answer", async () => {
    await nodes.kill(1);
    await nodes.kill(2);
    const { code, out } = await askToHold(...FOR_LONG, "--json");
    await nodes.restart(1);
    await nodes.restart(2);
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ error: { exitCode: 3 } });
  });
});
