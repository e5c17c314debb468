import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { greet } from "./greet.ts";
import type { RedisServer } from "./redis-server.ts";
import type { ProcessGuard } from "./process-guard.ts";

const POLL_EVERY = 5;
const GREETING_PATIENCE = 500;
const STOPS_WITHIN = 2_000;

/** The shell becomes the server (same process id) only after the process guard knows of it. */
const WAIT_FOR_GO = 'read -r go && exec "$@" </dev/null';

/** How to run one server. */
export interface Launch {
  server: RedisServer;
  args: readonly string[];
  port: number;
  /** The server's working folder. */
  folder: string;
  /** The file that takes the server's output. */
  log: string;
  /** Milliseconds until the server must answer. */
  startTimeout: number;
  processGuard: ProcessGuard;
}

/** A server that did not come up, with what it printed. */
export class RedisStartError extends Error {
  override readonly name = "RedisStartError";
  readonly code = "ERR_REDLOCK_SERVER_START";
  readonly port: number;
  /** What the server itself printed. */
  readonly output: string;

  constructor(launch: Launch, what: string, output: string) {
    super(
      `${launch.server.path} on port ${launch.port} ${what}; it printed:\n${output.trim() || "(nothing)"}`,
    );
    this.port = launch.port;
    this.output = output;
  }

  get portIsTaken(): boolean {
    return this.output.includes("Address already in use");
  }
}

/** One running server process. */
export class RedisProcess {
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;

  private constructor(child: ChildProcess, processGuard: ProcessGuard) {
    this.#child = child;
    this.pid = child.pid!;
    this.#ended = new Promise((resolve) => {
      child.once("exit", () => {
        processGuard.forget(this.pid);
        resolve();
      });
    });
    // A server must not keep our process alive: when we end, the process guard ends it.
    child.unref();
  }

  /**
   * Starts a server and resolves when it answers.
   *
   * @throws RedisStartError when it ends first, or does not answer in time.
   */
  static async start(launch: Launch): Promise<RedisProcess> {
    const child = await spawnShell(launch);
    const running = new RedisProcess(child, launch.processGuard);
    try {
      await launch.processGuard.watch(running.pid);
      child.stdin!.end("go\n");
      await running.#answers(launch);
      return running;
    } catch (error) {
      await running.kill();
      throw error;
    }
  }

  /** Whether the process has not ended; a paused process is running. */
  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Stops the process without ending it; it has stopped when this returns (on Linux). */
  pause(): void {
    this.#child.kill("SIGSTOP");
    if (process.platform !== "linux") return;
    const deadline = performance.now() + STOPS_WITHIN;
    while (!hasStopped(this.pid))
      if (performance.now() > deadline)
        throw new Error(`process ${this.pid} did not stop within ${STOPS_WITHIN} ms`);
  }

  resume(): void {
    this.#child.kill("SIGCONT");
  }

  /** Ends the process with SIGKILL and resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child.ref();
    if (this.isRunning) this.#child.kill("SIGKILL");
    await this.#ended;
  }

  async #answers(launch: Launch): Promise<void> {
    const deadline = performance.now() + launch.startTimeout;
    for (;;) {
      const greeting = await greet(launch.port, GREETING_PATIENCE);
      const output = readFileSync(launch.log, "utf8");
      if (!this.isRunning) throw new RedisStartError(launch, "ended at once", output);
      if (greeting.awake && (greeting.pid === this.pid || saysReady(output))) return;
      if (performance.now() >= deadline)
        throw new RedisStartError(launch, silence(launch, greeting.pid), output);
      await delay(POLL_EVERY);
    }
  }
}

async function spawnShell(launch: Launch): Promise<ChildProcess> {
  const log = openSync(launch.log, "w");
  try {
    // Detached: a Ctrl-C in the terminal is for us; we, or the process guard, end the server.
    const child = spawn(
      "/bin/sh",
      ["-c", WAIT_FOR_GO, "sh", launch.server.path, ...flags(launch)],
      {
        cwd: launch.folder,
        detached: true,
        env: { ...process.env, ...launch.server.env },
        stdio: ["pipe", log, log],
      },
    );
    await new Promise((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    // The shell may be killed before it has read its order; its exit reports that.
    child.stdin!.on("error", () => undefined);
    return child;
  } finally {
    closeSync(log);
  }
}

function flags({ port, folder, args }: Launch): string[] {
  const given: Record<string, string> = {
    "--port": String(port),
    "--bind": "127.0.0.1",
    "--daemonize": "no",
    "--dir": folder,
    "--save": "",
    "--appendonly": "no",
    "--maxmemory-policy": "noeviction",
  };
  return [...Object.entries(given).flat(), ...args];
}

/** A server that wants a password does not report its process id, but prints that it is ready. */
function saysReady(output: string): boolean {
  return /ready to accept connections/i.test(output);
}

function silence({ startTimeout }: Launch, other: number | undefined): string {
  const instead = other === undefined ? "" : ` (process ${other} answered in its place)`;
  return `did not answer within ${startTimeout} ms${instead}`;
}

function hasStopped(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return /^[TtZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return true;
  }
}
