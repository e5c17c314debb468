/** The queue whose jobs run without a lock, and the one whose jobs run with it. */
export const UNLOCKED = "unlocked";
export const LOCKED = "locked";

/** How many jobs one worker process runs at once. */
export const CONCURRENCY = 10;

/** The data of the demo's own jobs. */
export interface Deposit {
  account: number;
}

/** What defines the lock: a key template and how many jobs may hold a key, or the path of a rules file. */
export type LockSource = { key: string; limit: number } | { rules: string };

/** What a worker process receives at its start, as JSON. */
export interface Orders {
  /** The URL of the queue's Redis. */
  queue: string;
  /** The URLs of the lock masters. */
  masters: readonly string[];
  /** What defines the lock. */
  lock: LockSource;
  /** The queue whose jobs run with a lock. */
  lockedQueue: string;
  /** Whether the jobs are the demo's own deposits, or the data of a user's file. */
  jobs: "deposits" | "lines of a file";
}

/** What a worker process reports while it works. Times are in ms since 1970. */
export type News =
  | { kind: "ready" }
  | { kind: "put aside"; job: string; at: number }
  | ({ kind: "completed"; at: number; manner: Manner } & Run)
  | ({ kind: "failed"; reason: string; code: string | undefined } & Run)
  | { kind: "master down"; master: string }
  | { kind: "reloaded"; rules: number; added: number }
  | { kind: "trouble"; message: string };

/** How a job was completed: `skipped` did not run, and `unlocked` ran without a lock, by its rule. */
export type Manner = "ran" | "skipped" | "unlocked";

/** What BullMQ reports of a job that has ended. */
interface Run {
  job: string;
  /** How often a worker started it. */
  activations: number;
  attempts: number;
}
