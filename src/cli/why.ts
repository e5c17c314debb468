import type { Job, Queue } from "bullmq";
import { inspectJob } from "../bullmq/inspect-job.ts";
import { printable } from "../printable.ts";
import { ANSWER_TIMEOUT, readTimeout } from "./arguments.ts";
import { type Command, EXIT } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readingWith, TIMEOUT_HELP } from "./connect.ts";
import { type Facts, showJob } from "./job-words.ts";
import { QUEUE_HELP, QUEUE_OPTIONS, readJobName, withQueue } from "./queue.ts";

export const why: Command = {
  summary: "report why a job does not run: the keys it waits for, and their holders",
  takes: [...MASTER_OPTIONS, ...QUEUE_OPTIONS],
  help: `Usage: bullmq-redlock why [options] JOB

Reports why a job does not run: whether it is parked, on which keys, behind which holder
and at which position, since when, and when it comes back by itself. A job that waits for
no key has another reason, which is named too. JOB is an id with --queue, or a name such
as bull:invoices:17, as other commands print it. Changes nothing.

${QUEUE_HELP}
${MASTER_HELP}
${TIMEOUT_HELP}
  --json          write JSON; times are milliseconds since 1970

  bullmq-redlock why bull:invoices:18
  bullmq-redlock why 18 --queue invoices --redis redis://queue:6379

Exit code: 0 answered; 1 there is no such job or queue; 2 wrong command line or rules
file, or the Redis of the queue does not answer; 3 too few masters answered.`,
  async run(invocation) {
    const { options, out } = invocation;
    const named = readJobName("why", invocation);
    const timeout = readTimeout(options.timeout, ANSWER_TIMEOUT);
    const { prefix, queue: queueName, id } = named;
    return await readingWith(invocation, async ({ redlock }) => {
      return await withQueue(invocation, named, timeout, async (queue) => {
        const job = (await queue.getJob(id)) as Job | undefined;
        if (job !== undefined) {
          const found = { ...(await inspectJob(redlock, job)), ...(await factsOf(queue, job)) };
          if (options.json === true) out.json(found);
          else showJob(found, out);
          return EXIT.ok;
        }
        const queueExists = await isUsed(queue);
        const name = `${prefix}:${queueName}:${id}`;
        if (options.json === true) out.json({ job: name, state: "unknown", queueExists });
        else if (queueExists) {
          out.say(
            `there is no job ${printable(name)}: it was removed, or ended in a queue that keeps no ended jobs`,
          );
        } else out.say(`there is no queue ${printable(`${prefix}:${queueName}`)} on this Redis`);
        return EXIT.finding;
      });
    });
  },
};

async function factsOf(queue: Queue, job: Job): Promise<Facts> {
  const [queuePaused, workers] = await Promise.all([
    queue.isPaused(),
    queue.getWorkersCount().catch(() => undefined),
  ]);
  const { attemptsMade, processedOn, finishedOn, failedReason } = job;
  const skipped = skippedOf(job.returnvalue);
  return { attemptsMade, processedOn, finishedOn, failedReason, skipped, queuePaused, workers };
}

/** Reads the result of a job that completed without having run. */
function skippedOf(result: unknown): Facts["skipped"] {
  if (typeof result !== "object" || result === null) return undefined;
  const { skipped, reason, key, holder } = result as Record<string, unknown>;
  if (skipped !== true || typeof reason !== "string" || typeof key !== "string") return undefined;
  return { reason, key, holder: typeof holder === "string" ? holder : undefined };
}

/** Whether any program has used the queue: each `Queue` and `Worker` with this name writes its version. */
async function isUsed(queue: Queue): Promise<boolean> {
  if ((await queue.getVersion()) !== null) return true;
  return Object.values(await queue.getJobCounts()).some((number) => number > 0);
}
