import { refuseUnknownOptions, requireObject, wrongOption } from "../check-options.ts";
import { BullMQAdapter } from "@bull-board/api/bullMQAdapter";
import type { Job } from "bullmq";
import { isUnderWay, parseWait, WAIT_FIELD } from "../bullmq/job-wait.ts";
import { addressOf } from "../dashboard/address.ts";
import type { Engine } from "../redlock/engine.ts";
import { engineOf, type Redlock } from "../redlock/redlock.ts";
import { describeWaits, type WaitingJob } from "./describe-waits.ts";

/** The link that bull-board shows beside the name of a job. */
interface Link {
  readonly displayText?: string;
  readonly href: string;
}

/** What a job of this adapter gives to bull-board: its JSON, with the link if it waits for a lock. */
interface JobJson {
  readonly [LINK]?: Link;
}
const LINK = Symbol("link");

/** Options of a {@link RedlockAdapter}: those of bull-board's `BullMQAdapter`, and these. */
export interface RedlockAdapterOptions extends NonNullable<
  ConstructorParameters<typeof BullMQAdapter>[1]
> {
  /** A `Redlock` for the masters that the jobs of the queue use. */
  redlock: Redlock;
  /**
   * The address of the dashboard of this library, such as `/locks`: the text of a job then links to the page of its key there.
   * @defaultValue the text links to the page of the job
   */
  dashboard?: string;
}

/** The options; one that a later `BullMQAdapter` has does not compile until it is here. */
const KNOWN = Object.keys({
  redlock: true,
  dashboard: true,
  readOnlyMode: true,
  allowRetries: true,
  prefix: true,
  description: true,
  displayName: true,
  delimiter: true,
  externalJobUrl: true,
  jobDataSchema: true,
} satisfies { [N in keyof RedlockAdapterOptions]-?: true });
/** An option that bull-board reads, but does not declare. */
const UNDECLARED = "allowCompletedRetries";

/**
 * A queue for bull-board that shows what each parked job waits for, as a link beside its name:
 * `waits for account:42, 3rd of 7, for 12 s`.
 *
 * Each page of jobs asks the masters once, about 100 keys at most. Where `externalJobUrl` is set, it serves all other jobs.
 * @throws {LockConfigError} for an option that cannot work.
 * @example
 * createBullBoard({ queues: [new RedlockAdapter(queue, { redlock })], serverAdapter });
 * @see docs/bull-board.md
 */
export class RedlockAdapter extends BullMQAdapter {
  readonly #engine: Engine;
  readonly #dashboard: string | undefined;

  constructor(
    queue: ConstructorParameters<typeof BullMQAdapter>[0],
    options: RedlockAdapterOptions,
  ) {
    requireObject("queue", queue, "a Queue of BullMQ");
    requireObject("options", options, "an object of options, with redlock");
    refuseUnknownOptions("", options, [...KNOWN, UNDECLARED]);
    const { redlock, dashboard, externalJobUrl, ...rest } = options;
    super(queue, {
      ...rest,
      // bull-board sends no link for `undefined`. A link is the one text of a job that it takes for no form: what the formatters
      // of name and data add is stored with a job that an operator edits or duplicates.
      externalJobUrl: (job) => ((job as JobJson)[LINK] ?? externalJobUrl?.(job)) as Link,
    });
    this.#engine = engineOf(redlock);
    this.#dashboard = checkAddress(dashboard);
  }

  /** The jobs of a page. bull-board formats them without awaiting anything: what they wait for is read here. */
  override async getJobs(
    ...page: Parameters<BullMQAdapter["getJobs"]>
  ): ReturnType<BullMQAdapter["getJobs"]> {
    const jobs = await super.getJobs(...page);
    await this.#addLinks(jobs);
    return jobs;
  }

  /** One job. */
  override async getJob(id: string): ReturnType<BullMQAdapter["getJob"]> {
    const job = await super.getJob(id);
    if (job !== undefined) await this.#addLinks([job]);
    return job;
  }

  async #addLinks(jobs: readonly Job[]): Promise<void> {
    const waits = await this.#waitsOf(jobs);
    if (waits.length === 0) return;
    const texts = await describeWaits(this.#engine, waits);
    for (const [index, { job, keys }] of waits.entries()) {
      const link = { displayText: texts[index] ?? "", href: this.#addressOf(job, keys[0] ?? "") };
      const toJSON = job.toJSON.bind(job);
      job.toJSON = () => ({ ...toJSON(), [LINK]: link });
    }
  }

  /** The jobs that wait for a lock; none on PostgreSQL, where jobs are not parked. */
  async #waitsOf(jobs: readonly Job[]): Promise<WaitingJob[]> {
    const client = await this.getClient();
    if (client === null) return [];
    const waits = jobs.map(async (job): Promise<WaitingJob | undefined> => {
      // Only a job that was taken up without an attempt needs a question.
      if (job.finishedOn !== undefined || !isUnderWay(job)) return undefined;
      const field = await client.hget(this.getQueueKey(job.id ?? ""), WAIT_FIELD);
      if (field === null) return undefined;
      const { keys, parkedSince: since } = parseWait(job, field);
      return since === undefined ? undefined : { job, keys, since };
    });
    return (await Promise.all(waits)).filter((wait) => wait !== undefined);
  }

  #addressOf(job: Job, key: string): string {
    if (this.#dashboard !== undefined) return `${this.#dashboard}/${addressOf("key", { key })}`;
    // Below the base of bull-board's page.
    return `queue/${encodeURIComponent(this.getName())}/${encodeURIComponent(job.id ?? "")}`;
  }
}

/** The address of the dashboard, without a slash at the end. Other schemes could run a script. */
function checkAddress(dashboard: unknown): string | undefined {
  if (dashboard === undefined) return undefined;
  if (typeof dashboard === "string" && /^(?:\/|https?:\/\/)[^?#]*$/.test(dashboard)) {
    return dashboard.replace(/\/+$/, "");
  }
  throw wrongOption("dashboard", dashboard, 'the address of the dashboard, such as "/locks"');
}
