const REDRAW_EVERY = 100;
const PRINT_EVERY = 1_000;
const BAR = 20;

/** Shows the progress of a round on standard output: a redrawn line on a terminal, otherwise a line now and then. */
export class Progress {
  readonly #terminal = process.stdout.isTTY && process.env.TERM !== "dumb";
  #describe: (() => string) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #printed = "";

  /** Shows what `describe` returns, until {@link stop}. */
  start(describe: () => string): void {
    this.#describe = describe;
    this.#printed = "";
    this.#timer = setInterval(() => this.#show(), this.#terminal ? REDRAW_EVERY : PRINT_EVERY);
    if (this.#terminal) this.#show();
  }

  /** Prints a line that stays. */
  say(line: string): void {
    this.#clear();
    process.stdout.write(`${line}\n`);
    if (this.#terminal && this.#describe !== undefined) this.#show();
  }

  /** Ends the display; the last state stays. Idempotent. */
  stop(): void {
    if (this.#describe === undefined) return;
    clearInterval(this.#timer);
    this.#show();
    if (this.#terminal) process.stdout.write("\n");
    this.#describe = undefined;
  }

  #show(): void {
    const line = this.#describe?.() ?? "";
    this.#clear();
    if (this.#terminal) process.stdout.write(line.slice(0, (process.stdout.columns || 80) - 1));
    else if (line !== this.#printed) process.stdout.write(`${line}\n`);
    this.#printed = line;
  }

  #clear(): void {
    if (this.#terminal && this.#describe !== undefined) process.stdout.write("\r\u001B[2K");
  }
}

/** Draws how much of a whole is done. */
export function drawBar(done: number, whole: number): string {
  const full = whole === 0 ? BAR : Math.floor((done / whole) * BAR);
  return "█".repeat(full) + "░".repeat(BAR - full);
}
