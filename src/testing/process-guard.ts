import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { Writable } from "node:stream";

/**
 * The process guard reads until its input ends. That happens when we end it, and also when this process has
 * ended for any reason, SIGKILL included, because the kernel then closes our end of the pipe.
 * SIGKILL ends a stopped (SIGSTOP) server too.
 */
const PROGRAM = `
trap '' HUP INT TERM
pids=
while read -r verb pid; do
  case $verb in
    watch) pids="$pids $pid" ;;
    forget)
      kept=
      for each in $pids; do [ "$each" = "$pid" ] || kept="$kept $each"; done
      pids=$kept ;;
  esac
done
for pid in $pids; do kill -KILL "$pid"; done
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
`;

/**
 * A small shell process beside this one which kills the processes it watches, and removes their
 * folder, as soon as this process is gone.
 */
export class ProcessGuard {
  readonly #shell: ChildProcess;
  readonly #orders: Writable;
  readonly #gone: Promise<unknown>;

  constructor(folder: string) {
    // Detached: a Ctrl-C goes to the whole process group of the terminal, and must not end the process guard.
    this.#shell = spawn("/bin/sh", ["-c", PROGRAM, "process-guard", folder], {
      cwd: "/",
      detached: true,
      env: { PATH: `/usr/bin:/bin:${process.env.PATH}` },
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#shell.unref();
    this.#orders = this.#shell.stdin!;
    this.#gone = once(this.#shell, "exit").catch(() => "it never ran");
    // A failed order is reported to its caller, through the callback of write().
    this.#orders.on("error", () => undefined);
  }

  /** Watches a process; resolves when the order can no longer be lost. */
  async watch(pid: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#orders.write(`watch ${pid}\n`, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Forgets a process that has ended, because its id may soon belong to another process. */
  forget(pid: number): void {
    if (this.#orders.writable) this.#orders.write(`forget ${pid}\n`);
  }

  /** Lets the process guard kill what it still watches, remove the folder and go. */
  async dismiss(): Promise<void> {
    this.#shell.ref();
    this.#orders.end();
    await this.#gone;
  }
}
