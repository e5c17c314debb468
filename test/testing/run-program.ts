import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import { bundled } from "../support/bundle.ts";

/** A program of this folder that runs as a process of its own and speaks JSON, one value a line. */
export interface RunningProgram {
  child: ChildProcess;
  /** The next line it prints, parsed. */
  next(): Promise<unknown>;
  ended: Promise<unknown>;
}

/** Runs `programs/<name>.ts`; what still runs when the test ends is killed. */
export async function runProgram(
  name: string,
  options: { args?: string[]; env?: NodeJS.ProcessEnv; uid?: number; detached?: boolean } = {},
): Promise<RunningProgram> {
  const { args = [], env = {}, ...how } = options;
  const path = join(import.meta.dirname, "programs", `${name}.ts`);
  const child = spawn(process.execPath, [await bundled(path), ...args], {
    ...how,
    ...(how.uid === undefined ? {} : { gid: how.uid }),
    env: { ...process.env, ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    child,
    ended: once(child, "exit"),
    next: async () => {
      const line = await lines.next();
      if (line.done === true) throw new Error(`${name} ended without a word`);
      return JSON.parse(line.value);
    },
  };
}

/** The user id of an ordinary user, or `undefined` when we may not become one. */
export function findOrdinaryUser(): number | undefined {
  if (process.getuid?.() !== 0) return undefined;
  return Number(execFileSync("id", ["-u", "nobody"], { encoding: "utf8" }));
}

/** Whether a process listens on a loopback port; a frozen server still does. */
export async function isListening(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
