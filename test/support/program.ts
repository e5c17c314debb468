import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { onTestFinished } from "vitest";
import { bundled } from "./bundle.ts";

/** Forks a program with a task, as JSON, and with a channel; the process is gone when the test ends. */
export async function forkProgram(program: string, task: unknown): Promise<ChildProcess> {
  const child = fork(await bundled(program), [JSON.stringify(task)], { execArgv: [] });
  onTestFinished(async () => await killProgram(child));
  return child;
}

/** Resolves with the first message of a program. @throws {Error} when it ends before. */
export async function untilReady(child: ChildProcess): Promise<void> {
  await Promise.race([
    once(child, "message"),
    once(child, "exit").then(([code]) => {
      throw new Error(`the worker process ended with ${String(code)}`);
    }),
  ]);
}

/** Kills a program (SIGKILL), and resolves when it is gone. */
export async function killProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGKILL");
  await exit;
}
