import type { Job } from "bullmq";
import type { Fate, Home } from "../line/home.ts";
import { parseDetail, parsePlace, type Waiter } from "../line/place.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { isGone, type JobWorker, nameOf } from "./job-worker.ts";
import { standingOf } from "./standing.ts";

/** The static part of BullMQ's `Job`: that of the very copy of BullMQ that runs the jobs. */
interface JobClass {
  fromId(queue: unknown, id: string): Promise<Job | undefined>;
}

/** States of a job that is on its way, or has arrived. */
const COMING = new Set(["active", "waiting", "prioritized", "waiting-children"]);

/** The parked jobs of one queue, by way of one of its workers. */
export class QueueHome implements Home {
  readonly #name: string;
  readonly #worker: JobWorker;
  readonly #jobs: JobClass;
  readonly #redlock: Redlock;

  constructor(name: string, worker: JobWorker, job: Job, redlock: Redlock) {
    this.#name = name;
    this.#worker = worker;
    this.#jobs = job.constructor as unknown as JobClass;
    this.#redlock = redlock;
  }

  async call(waiter: Waiter): Promise<Fate> {
    try {
      const job = await this.#find(waiter);
      if (job === undefined) return "gone";
      if (!isRun(job, waiter)) return await stateOf(job);
      // Sent together: alone, `promote` puts the job behind all that waits in its queue. The priority is the one it has now.
      const [promoted] = await Promise.allSettled([
        job.promote(),
        job.changePriority({ priority: job.priority, lifo: true }),
      ]);
      if (promoted.status === "fulfilled") {
        this.#redlock.emit("woken", { job: nameOf(job) });
        return "called";
      }
      return isGone(promoted.reason) ? await stateOf(job) : "unknown";
    } catch {
      // The queue does not answer; the turn goes by, and others come first.
      return "unknown";
    }
  }

  async look(waiter: Waiter): Promise<Fate> {
    try {
      const job = await this.#find(waiter);
      if (job === undefined) return "gone";
      const state = await job.getState();
      if (state === "delayed" && isRun(job, waiter)) return "called";
      return COMING.has(state) ? "coming" : "gone";
    } catch {
      return "unknown";
    }
  }

  /** The job of a place; another one that was given the same id has another place. */
  async #find({ place }: Waiter): Promise<Job | undefined> {
    const id = parsePlace(place)?.id ?? "";
    const job = await this.#jobs.fromId(this.#worker, id);
    if (job === undefined) return undefined;
    return standingOf(job, this.#name, false).place === place ? job : undefined;
  }
}

/** Whether the job has not been taken up again since it was parked. */
function isRun(job: Job, { detail }: Waiter): boolean {
  return parseDetail(detail)?.run === job.attemptsStarted;
}

async function stateOf(job: Job): Promise<Fate> {
  return COMING.has(await job.getState()) ? "coming" : "gone";
}
