import { readdir } from "node:fs/promises";
import { expect } from "vitest";
import { isListening } from "../testing/run-program.ts";
import type { Demo } from "./run-demo.ts";
import { waitFor } from "../support/wait-for.ts";

/** The servers and the workers of a demo. */
export interface Processes {
  ports: number[];
  pids: number[];
}

/** Reads from what a demo prints where its processes are. */
export async function findProcesses(demo: Demo): Promise<Processes> {
  const [, queue, masters = "", pids = ""] = await demo.prints(
    /queue on port (\d+); lock masters on ports ([\d,\s]+); worker\s+processes ([\d,\s]+)\n\n/,
  );
  return { ports: [Number(queue), ...numbersIn(masters)], pids: numbersIn(pids) };
}

function numbersIn(list: string): number[] {
  return list.split(",").map(Number);
}

/** Resolves when none of them runs and their folder is gone. */
export async function expectNothingLeft({ ports, pids }: Processes, tmp: string): Promise<void> {
  expect([ports.length, pids.length]).toEqual([4, 2]);
  const left = async () => ({
    pids: pids.filter(isRunning),
    ports: (await Promise.all(ports.map(isListening))).filter(Boolean),
    folders: await foldersOfServers(tmp),
  });
  await waitFor(async () => expect(await left()).toEqual({ pids: [], ports: [], folders: [] }), {
    interval: 50,
  });
}

/** The folders of servers in a folder for temporary files. */
export async function foldersOfServers(tmp: string): Promise<string[]> {
  // Beside them, tsx keeps what it has compiled.
  return (await readdir(tmp)).filter((name) => name.startsWith("bullmq-redlock-"));
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
