import { openSync, readdirSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";

/** What processes write down. Times are of {@link monotonic}; `until` is `null` where a library tells no end. */
export type Entry =
  | {
      readonly what: "entered";
      readonly section: string;
      readonly key: string;
      readonly pid: number;
      readonly token: number;
      readonly at: number;
      readonly until: number | null;
    }
  /** The lock said that it is held, and for how long it will be whatever happens. */
  | {
      readonly what: "held";
      readonly section: string;
      readonly at: number;
      readonly until: number | null;
    }
  /** The work was done, and the lock still held. */
  | { readonly what: "left"; readonly section: string; readonly at: number }
  /** The lock said that it is held no more. */
  | { readonly what: "lost"; readonly section: string; readonly at: number }
  /** The resource refused the token of a lock that was held before and after. */
  | { readonly what: "inverted"; readonly section: string }
  /** Of the resource: a write came after that of a later holder; it was refused, or nothing could tell. */
  | { readonly what: "refused" | "landed"; readonly section: string }
  /** A call took longer than it may. */
  | { readonly what: "late"; readonly call: string; readonly ms: number; readonly bound: number }
  | { readonly what: "unsettled"; readonly call: string }
  /** A rejection or an exception that nobody handled. */
  | { readonly what: "unhandled"; readonly message: string }
  /** A call failed in a way that is not among its outcomes. */
  | { readonly what: "unexpected"; readonly message: string }
  /** A process was stopped, goes on, was killed, or ended although nobody did it. */
  | {
      readonly what: "stopped" | "continued" | "killed" | "crashed";
      readonly pid: number;
      readonly at: number;
    }
  /** All faults are over. */
  | { readonly what: "calm"; readonly at: number };

/** Milliseconds of CLOCK_MONOTONIC, which all processes of a machine share. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A file of entries. What is written is there, even if the process is killed in the next moment. */
export class Journal {
  readonly #file: number;

  /** Opens a journal that nobody else writes. */
  constructor(folder: string, name: string) {
    this.#file = openSync(join(folder, `${name}.jsonl`), "a");
  }

  write(entry: Entry): void {
    writeSync(this.#file, `${JSON.stringify(entry)}\n`);
  }
}

/** Everything in the journals of a folder. */
export function readJournals(folder: string): Entry[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(".jsonl"));
  return files.flatMap((name) =>
    readFileSync(join(folder, name), "utf8")
      .split("\n")
      // A process may have been killed in the middle of a line.
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Entry),
  );
}
