import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { extname, join } from "node:path";
import type { News, Orders } from "./messages.ts";

/** As the main program runs: from its sources, or bundled. */
const program = `worker${extname(import.meta.filename)}`;

/** How long a worker process may take to close, in ms. */
const CLOSE_WITHIN = 2_000;

/** The worker processes. */
export class Crew {
  /** Rejects when a worker process ends before it is dismissed. */
  readonly broken: Promise<never>;
  readonly #members: readonly ChildProcess[];
  #dismissed = false;

  constructor(count: number, orders: Orders) {
    this.#members = Array.from({ length: count }, () =>
      fork(join(import.meta.dirname, program), [JSON.stringify(orders)]),
    );
    this.broken = new Promise((_, reject) => {
      for (const member of this.#members) {
        // The process could not be started, or ended while a message was sent to it.
        member.on("error", reject);
        member.once("exit", (code, signal) => {
          if (!this.#dismissed)
            reject(new Error(`worker process ${member.pid} ended (${signal ?? `code ${code}`})`));
        });
      }
    });
    // Callers that wait for the crew receive the rejection. Without a caller, it must not crash the demo.
    this.broken.catch(() => undefined);
  }

  get pids(): number[] {
    return this.#members.map(({ pid }) => pid ?? 0);
  }

  /** Resolves when all worker processes can take jobs. */
  async ready(): Promise<void> {
    let ready = 0;
    const all = new Promise<void>((resolve) => {
      this.listen(({ kind }) => {
        if (kind === "ready") ready += 1;
        if (ready === this.#members.length) resolve();
      });
    });
    await Promise.race([all, this.broken]);
  }

  /** Passes on each message with the pid of its process, until the returned function is called. */
  listen(hear: (news: News, pid: number) => void): () => void {
    const listeners = this.#members.map((member) => {
      const listener = (message: unknown): void => hear(message as News, member.pid ?? 0);
      member.on("message", listener);
      return { member, listener };
    });
    return () => {
      for (const { member, listener } of listeners) member.off("message", listener);
    };
  }

  /** Lets the processes close and end, and kills them if they do not end in time. Resolves when they are gone. */
  async dismiss(): Promise<void> {
    for (const member of this.#members) if (member.connected) member.send("close");
    const timer = setTimeout(() => this.#kill(), CLOSE_WITHIN);
    await this.#gone();
    clearTimeout(timer);
  }

  /** Kills the processes; resolves when they are gone. */
  async kill(): Promise<void> {
    this.#kill();
    await this.#gone();
  }

  #kill(): void {
    this.#dismissed = true;
    for (const member of this.#members) member.kill("SIGKILL");
  }

  async #gone(): Promise<void> {
    this.#dismissed = true;
    await Promise.all(
      this.#members
        .filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
        .map(async (member) => await once(member, "exit")),
    );
  }
}
