import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { bundled } from "../support/bundle.ts";
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
    const child = fork(await bundled(PROGRAM), [JSON.stringify(task)], { execArgv: [] });
    const witness = new Witness(child);
    await witness.#answer();
    return witness;
  }

  /** What it has seen. */
  async judge(): Promise<Verdict> {
    if (this.#child.connected) this.#child.send("judge");
    return (await this.#answer()) as Verdict;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  /** @throws when the witness ends instead: without it there is no verdict. */
  async #answer(): Promise<unknown> {
    const gone = (): Error => new Error(`the witness ended (${this.#child.exitCode})`);
    if (!this.#child.connected) throw gone();
    const answer = once(this.#child, "message").then(([message]: unknown[]) => message);
    const ended = once(this.#child, "exit").then(() => {
      throw gone();
    });
    // Whoever loses the race settles later, or never.
    ended.catch(() => undefined);
    return await Promise.race([answer, ended]);
  }
}
