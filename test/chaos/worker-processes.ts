import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { HoldTerms } from "../../bench/src/contender.ts";
import { bundled } from "../support/bundle.ts";
import { type Journal, monotonic } from "./journal.ts";
import { type Contender, isPeer } from "./lock-client.ts";

/** Milliseconds a worker has to end in good order. */
const ENDS_WITHIN = 60_000;

/** What a worker process is to do. Durations are milliseconds. */
export interface WorkerTask {
  readonly contender: Contender;
  /** Where jobs come from; `undefined` when it takes locks by itself. */
  readonly queueUrl: string | undefined;
  /** Its own way to each master. */
  readonly urls: readonly string[];
  readonly keys: readonly string[];
  readonly terms: HoldTerms;
  /** How many locks it wants at the same time. */
  readonly tasks: number;
  /** Within which calls must settle. */
  readonly bounds: { readonly acquire: number; readonly release: number };
  /** The folder of the journals. */
  readonly folder: string;
  /** The path of the resource's socket. */
  readonly socket: string;
}

/** Worker processes that can be stopped and killed; one that is gone is followed by another. */
export class WorkerProcesses implements AsyncDisposable {
  readonly #tasks: readonly WorkerTask[];
  readonly #program: Program;
  readonly #journal: Journal;
  readonly #children: ChildProcess[];
  /** Those that were told to end, and whose places are taken. */
  readonly #retired: ChildProcess[] = [];
  #isEnding = false;

  private constructor(tasks: readonly WorkerTask[], program: Program, journal: Journal) {
    this.#tasks = tasks;
    this.#program = program;
    this.#journal = journal;
    this.#children = tasks.map((task, worker) => this.#start(task, worker));
  }

  /** Starts a process for each task, all with the same contender and source of jobs. */
  static async start(tasks: readonly WorkerTask[], journal: Journal): Promise<WorkerProcesses> {
    return new WorkerProcesses(tasks, await programFor(tasks[0]!), journal);
  }

  /** Resolves when each has had a lock. */
  async allWork(): Promise<void> {
    await Promise.all(this.#children.map(async (child) => await once(child, "message")));
  }

  stop(worker: number): void {
    const child = this.#child(worker);
    this.#journal.write({ what: "stopped", pid: child.pid ?? 0, at: monotonic() });
    child.kill("SIGSTOP");
  }

  continue(worker: number): void {
    const child = this.#child(worker);
    child.kill("SIGCONT");
    this.#journal.write({ what: "continued", pid: child.pid ?? 0, at: monotonic() });
  }

  /** Kills a worker; another takes its place. */
  kill(worker: number): void {
    const child = this.#child(worker);
    child.removeAllListeners("exit");
    this.#journal.write({ what: "killed", pid: child.pid ?? 0, at: monotonic() });
    child.kill("SIGKILL");
    this.#replace(worker);
  }

  /** Ends a worker in good order, as a deploy does, while another takes its place. */
  deploy(worker: number): void {
    const child = this.#child(worker);
    child.removeAllListeners("exit");
    if (child.connected) child.send("end");
    this.#retired.push(child);
    this.#replace(worker);
  }

  /** Ends all in good order; those that do not end are killed, and count as one unsettled call each. */
  async end(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(
      [...this.#retired, ...this.#children].map(async (child) => {
        const patience = setTimeout(() => {
          this.#journal.write({ what: "unsettled", call: `process ${child.pid}` });
          child.kill("SIGKILL");
        }, ENDS_WITHIN);
        const ended = hasEnded(child) ? undefined : once(child, "exit");
        if (child.connected && !this.#retired.includes(child)) child.send("end");
        await ended;
        clearTimeout(patience);
      }),
    );
  }

  /** Kills all that still run. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await Promise.all(
      [...this.#retired, ...this.#children].map(async (child) => {
        if (hasEnded(child)) return;
        const ended = once(child, "exit");
        child.kill("SIGKILL");
        await ended;
      }),
    );
  }

  #start(task: WorkerTask, worker: number): ChildProcess {
    const { path, execArgv } = this.#program;
    const child = fork(path, [JSON.stringify(task)], { execArgv });
    child.once("exit", () => {
      if (this.#isEnding) return;
      this.#journal.write({ what: "crashed", pid: child.pid ?? 0, at: monotonic() });
      this.#replace(worker);
    });
    return child;
  }

  #replace(worker: number): void {
    const task = this.#tasks[worker];
    if (task !== undefined) this.#children[worker] = this.#start(task, worker);
  }

  #child(worker: number): ChildProcess {
    const child = this.#children[worker];
    if (child === undefined) throw new RangeError(`no worker ${worker}`);
    return child;
  }
}

interface Program {
  readonly path: string;
  readonly execArgv: string[];
}

async function programFor({ contender, queueUrl }: WorkerTask): Promise<Program> {
  const name = queueUrl === undefined ? "worker" : "job-worker";
  const source = fileURLToPath(new URL(`programs/${name}.ts`, import.meta.url));
  // The packages of the others are beside their sources.
  if (isPeer(contender)) return { path: source, execArgv: ["--import", "tsx"] };
  return { path: await bundled(source), execArgv: [] };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
