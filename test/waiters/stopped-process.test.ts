import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { Redlock } from "../../src/index.ts";
import { forkProgram } from "../support/program.ts";
import { useRedisNodes } from "../support/redis.ts";

const servers = useRedisNodes(3);
const PROGRAM = join(import.meta.dirname, "programs/waiting.ts");
const CALLS = 5;

/** A process whose calls wait for the key. */
interface Waiting {
  readonly child: ChildProcess;
  /** What it has reported. */
  readonly told: string[];
}

async function startWaiting(redlock: Redlock, before: number): Promise<Waiting> {
  const child = await forkProgram(PROGRAM, { options: servers.redlockOptions, count: CALLS });
  const told: string[] = [];
  child.on("message", (message: string) => told.push(message));
  const waiting = async (): Promise<number> => (await redlock.inspect("k")).waiting;
  await expect.poll(waiting, { timeout: 10_000 }).toBe(before + CALLS);
  return { child, told };
}

function granted({ told }: Waiting): number {
  return told.filter((message) => message === "granted").length;
}

it("keeps the live waiters behind those of a stopped process, and takes those back", async () => {
  const redlock = new Redlock(servers.redlockOptions);
  onTestFinished(() => redlock.close());
  const lock = await redlock.acquire("k");
  const stopped = await startWaiting(redlock, 0);
  const running = await startWaiting(redlock, CALLS);
  stopped.child.kill("SIGSTOP");
  await lock.release();

  // Without a word from the stopped process its waiters cost a reservation of half a second each few.
  await expect.poll(() => granted(running), { timeout: 5_000 }).toBe(CALLS);
  expect(granted(stopped)).toBe(0);

  stopped.child.kill("SIGCONT");
  await expect.poll(() => granted(stopped), { timeout: 3_000 }).toBe(CALLS);
});
