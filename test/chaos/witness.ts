import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Verdict } from "./judge.ts";

const PROGRAM = fileURLToPath(new URL("programs/witness.ts", import.meta.url));

/** What the witness needs to know. */
export interface WitnessTask {
  /** The folder of the journals. */
  readonly folder: string;
  /** The path of the resource's socket. */
  readonly socket: string;
  readonly keys: readonly string[];
  /** Milliseconds after the faults within which every key must be granted. */
  readonly bound: number;
}

/** The witness, in a process of its own that no fault touches. */
export class Witness implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(task: WitnessTask): Promise<Witness> {
    const child = fork(PROGRAM, [JSON.stringify(task)], { execArgv: ["--import", "tsx"] });
    await once(child, "message");
    return new Witness(child);
  }

  /** What it has seen. */
  async judge(): Promise<Verdict> {
    this.#child.send("judge");
    const [verdict] = (await once(this.#child, "message")) as [Verdict];
    return verdict;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
