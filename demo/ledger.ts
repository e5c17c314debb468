import type { News } from "./messages.ts";

/** Jobs that failed for the same reason. */
export interface Failure {
  reason: string;
  code: string | undefined;
  jobs: string[];
}

/** What the worker processes report about the jobs of one round. */
export class Ledger {
  completed = 0;
  /** Of the completed jobs: how many did not run, and how many ran without a lock. */
  skipped = 0;
  unlocked = 0;
  activations = 0;
  mostAttempts = 0;
  readonly failures = new Map<string, Failure>();
  /** How long each job that found its key held waited for it, in ms. */
  readonly waits: number[] = [];
  /** When each job was completed or failed, by `performance.now()`. */
  readonly settledAt: number[] = [];
  readonly #waitingSince = new Map<string, number>();
  #watchers: { holds: () => boolean; resolve: () => void }[] = [];

  get settled(): number {
    return this.settledAt.length;
  }

  get waiting(): number {
    return this.#waitingSince.size;
  }

  enter(news: News): void {
    if (news.kind === "put aside") {
      if (!this.#waitingSince.has(news.job)) this.#waitingSince.set(news.job, news.at);
    } else if (news.kind === "completed" || news.kind === "failed") {
      this.settledAt.push(performance.now());
      this.activations += news.activations;
      this.mostAttempts = Math.max(this.mostAttempts, news.attempts);
      if (news.kind === "completed") this.#complete(news);
      else this.#fail(news);
      this.#waitingSince.delete(news.job);
      this.#tellWatchers();
    }
  }

  /** Resolves when a condition on this ledger holds. */
  async until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve) => {
      this.#watchers.push({ holds, resolve });
    });
  }

  #complete({ job, at, manner }: News & { kind: "completed" }): void {
    this.completed += 1;
    if (manner === "skipped") this.skipped += 1;
    if (manner === "unlocked") this.unlocked += 1;
    const since = this.#waitingSince.get(job);
    if (since !== undefined) this.waits.push(at - since);
  }

  #fail({ job, reason, code }: News & { kind: "failed" }): void {
    // The library adds the job and the template. The report lists the one and already shows the other.
    const shared = reason.replace(/^job \S+: /, "").replace(/ \((?:key|limit) template .*\)$/s, "");
    const failure = this.failures.get(shared) ?? { reason: shared, code, jobs: [] };
    failure.jobs.push(job);
    this.failures.set(shared, failure);
  }

  #tellWatchers(): void {
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const watcher of watchers) {
      if (watcher.holds()) watcher.resolve();
      else this.#watchers.push(watcher);
    }
  }
}
