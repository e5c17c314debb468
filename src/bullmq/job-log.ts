import type { Job } from "bullmq";
import { printable } from "../printable.ts";
import type { Engine } from "../redlock/engine.ts";
import { nameOf } from "../job-names.ts";
import { describeValue } from "../sentences.ts";

/** Which lines go to the log of a job. */
export type JobLogs = "off" | "conflicts" | "all";

/** Writes lines into the log of one job. */
export class JobLog {
  readonly #job: Job;
  readonly #engine: Engine;
  readonly #level: JobLogs;

  constructor(job: Job, engine: Engine, level: JobLogs) {
    this.#job = job;
    this.#engine = engine;
    this.#level = level;
  }

  /** Whether it says what happens to every job. */
  get isDetailed(): boolean {
    return this.#level === "all";
  }

  /** Says that the job did not run as it should. */
  async trouble(waitLists: string): Promise<void> {
    if (this.#level !== "off") await this.#write(waitLists);
  }

  /** Says what happens to every job. */
  async record(waitLists: string): Promise<void> {
    if (this.isDetailed) await this.#write(waitLists);
  }

  async #write(waitLists: string): Promise<void> {
    // A plain object that stands for a job may have no log.
    if (!("log" in this.#job)) return;
    try {
      await this.#job.log(`[lock] ${waitLists}`);
    } catch (cause) {
      // A log is no reason to fail a job.
      const why = cause instanceof Error ? cause.message : describeValue(cause);
      const message = printable(`could not write to the log of job ${nameOf(this.#job)}: ${why}`);
      this.#engine.events.emit("warning", { code: "job-log-failed", message, cause });
    }
  }
}
