import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { useBench } from "./support.ts";

const PROGRAM = fileURLToPath(new URL("programs/locked-worker.ts", import.meta.url));
const FILE = new URL("programs/sandboxed.mjs", import.meta.url);

const bench = useBench();

function runs(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Starts a worker whose child works on a job, kills the worker, and gives the pid of the child. */
async function orphan(does: string): Promise<number> {
  const task = { queueUrl: bench.queueUrl, masterUrls: bench.masterUrls, file: FILE.href };
  const worker = fork(PROGRAM, [JSON.stringify(task)], { execArgv: ["--import", "tsx"] });
  onTestFinished(() => void worker.kill("SIGKILL"));
  await bench.queue().add("charge", { account: "a", does });
  const [{ pid }] = (await once(worker, "message")) as [{ pid: number }];
  onTestFinished(() => {
    if (runs(pid)) process.kill(pid, "SIGKILL");
  });
  const exit = once(worker, "exit");
  worker.kill("SIGKILL");
  await exit;
  return pid;
}

test("a child whose worker was killed ends when it listens for that, before its key is free", async () => {
  const redlock = bench.redlock();
  const pid = await orphan("lingerUntilOrphaned");

  await redlock.acquire("account:a", { waitTimeout: 10_000 });

  expect(runs(pid)).toBe(false);
});

test("a child whose worker was killed goes on beside the next holder when it does not", async () => {
  const redlock = bench.redlock();
  const pid = await orphan("linger");

  await redlock.acquire("account:a", { waitTimeout: 10_000 });

  expect(runs(pid)).toBe(true);
});
