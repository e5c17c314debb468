import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import type { JobRecord } from "./shift.ts";

/** What one process has to do. */
export interface JobProcessOptions {
  readonly wrapping: string;
  readonly queues: readonly string[];
  readonly concurrency: number;
  /** The queue's server first, then the masters. */
  readonly urls: readonly string[];
}

type Message = { answer: unknown } | { error: string } | { done: number };

/** Milliseconds between two looks at what is done. */
const LOOK = 10;

/** Worker processes. They end with this one. */
export class JobProcesses {
  readonly #processes: readonly JobProcess[];

  constructor(options: readonly JobProcessOptions[]) {
    this.#processes = options.map((each) => new JobProcess(each));
  }

  /** Lets all work until so many jobs are done. @returns what became of each */
  async run(jobs: number, startNow: () => void): Promise<JobRecord[]> {
    await this.#all("open");
    startNow();
    await this.#all("start");
    while (this.#processes.reduce((sum, { done }) => sum + done, 0) < jobs) await delay(LOOK);
    return (await this.#all("stop")).flatMap((records) => records as JobRecord[]);
  }

  #all(order: string): Promise<unknown[]> {
    return Promise.all(this.#processes.map((each) => each.tell(order)));
  }
}

/** One of them. */
class JobProcess {
  /** Jobs that it has done since it was opened. */
  done = 0;
  readonly #child: ChildProcess;
  #settle: ((message: Exclude<Message, { done: number }>) => void) | undefined;

  constructor({ wrapping, queues, concurrency, urls }: JobProcessOptions) {
    const program = fileURLToPath(new URL("job-process.js", import.meta.url));
    const args = [wrapping, String(concurrency), queues.join(","), urls.join(",")];
    this.#child = fork(program, args, { execArgv: [] });
    this.#child.on("message", (message: Message) => {
      if ("done" in message) this.done = message.done;
      else this.#settle?.(message);
    });
    this.#child.on("exit", (code) => {
      this.#settle?.({ error: `a worker process ended with code ${code}` });
    });
  }

  async tell(order: string): Promise<unknown> {
    if (order === "open") this.done = 0;
    const message = await new Promise<Exclude<Message, { done: number }>>((resolve) => {
      this.#settle = resolve;
      this.#child.send(order);
    });
    if ("error" in message) throw new Error(message.error);
    return message.answer;
  }
}
