import type { WorkerOptions } from "bullmq";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { forkProgram, killProgram, untilReady } from "../support/program.ts";

const PROGRAM = fileURLToPath(new URL("programs/worker.ts", import.meta.url));

/** The data of a job: which entity it uses, and for how long. */
export interface Order {
  entity: string;
  /** Milliseconds. */
  ms: number;
}

/** What a worker process is to do. */
export interface WorkerTask {
  queueUrl: string;
  resourceUrl: string;
  masterUrls: readonly string[];
  /** Milliseconds. */
  ttl: number;
  /** False to run the same without a lock. */
  locked: boolean;
  /** How many jobs may use an entity at the same time; each uses its slot of it. @defaultValue 1 */
  limit?: number;
  worker?: Partial<
    Pick<
      WorkerOptions,
      "lockDuration" | "stalledInterval" | "maxStalledCount" | "concurrency" | "drainDelay"
    >
  >;
}

/** A message of `programs/worker.ts`. */
interface Message {
  ready?: true;
  started?: string;
  parked?: string;
  delayed?: string;
  error?: string;
}

/** A worker in a process of its own; it is gone when the test ends. */
export class WorkerProcess {
  readonly errors: string[] = [];
  /** The jobs that the process has put in line. */
  readonly parked = new Set<string>();
  /** Those that it has put aside for a while, since they lost their lock or the masters did not answer. */
  readonly delayed = new Set<string>();
  readonly #child: ChildProcess;
  readonly #started = new Set<string>();
  #onStarted: (() => void) | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.on("message", ({ started, parked, delayed, error }: Message) => {
      if (parked !== undefined) this.parked.add(parked);
      if (delayed !== undefined) this.delayed.add(delayed);
      if (error !== undefined) this.errors.push(error);
      if (started === undefined) return;
      this.#started.add(started);
      this.#onStarted?.();
    });
  }

  static async start(task: WorkerTask): Promise<WorkerProcess> {
    const child = await forkProgram(PROGRAM, task);
    const started = new WorkerProcess(child);
    await untilReady(child);
    return started;
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves when the process has begun to use the resource for the job. */
  async hasStarted(jobId: string): Promise<void> {
    while (!this.#started.has(jobId)) {
      await new Promise<void>((resolve) => {
        this.#onStarted = resolve;
      });
    }
  }

  /** Ends the process in good order. */
  async stop(): Promise<void> {
    const exit = once(this.#child, "exit");
    this.#child.send("end");
    await exit;
  }

  /** Kills the process (SIGKILL), and resolves when it is gone. */
  async kill(): Promise<void> {
    await killProgram(this.#child);
  }
}
