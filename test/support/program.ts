import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { dirname } from "node:path";
import { onTestFinished } from "vitest";
import { bundle } from "./bundle.ts";

const bundles = new Map<string, Promise<string>>();

/** A program as one file, made once for all processes of this one. */
async function bundled(program: string): Promise<string> {
  const known = bundles.get(program);
  if (known !== undefined) return await known;
  const bundling = bundle(program).then((outfile) => {
    process.once("exit", () => rmSync(dirname(outfile), { recursive: true, force: true }));
    return outfile;
  });
  bundles.set(program, bundling);
  return await bundling;
}

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
