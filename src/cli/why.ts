import { count } from "../sentences.ts";
import type { Job, Queue } from "bullmq";
import { inspectJob, type JobInspection } from "../bullmq/inspect-job.ts";
import { holderName, reservation } from "../describe/describe-key.ts";
import { duration, list, moment, shellWord } from "../describe/words.ts";
import { LockUnavailableError } from "../errors.ts";
import { nameOf } from "../job-names.ts";
import { printable } from "../printable.ts";
import { storedTextOf } from "../redlock/holder.ts";
import { readHoldingJob } from "../redlock/job-text.ts";
import { type AwaitedKey, findAwaitedKeys } from "../redlock/awaited-keys.ts";
import { waiterAt } from "../redlock/inspect.ts";
import { engineOf, type Redlock } from "../redlock/redlock.ts";
import { UsageError } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { readingWith } from "./connect.ts";
import { reportUnknown } from "./failure.ts";
import { type Screen, titledTable, wrap } from "./screen.ts";
import { readJobName, withQueue } from "./queue.ts";

export async function why(invocation: Invocation): Promise<ExitCode> {
  const { options, out } = invocation;
  const named = readJobName(invocation);
  const { prefix, queue: queueName, id } = named;
  return await readingWith(invocation, async (redlock) => {
    return await withQueue(invocation, named, async (queue) => {
      const job = (await queue.getJob(id)) as Job | undefined;
      if (job !== undefined) {
        const inspection = await inspectWithKeys(redlock, job).catch((error: unknown) => {
          if (error instanceof LockUnavailableError) return error;
          throw error;
        });
        if (inspection instanceof LockUnavailableError) {
          const known = { job: nameOf(job), state: await job.getState() };
          if (options.json !== true) {
            out.print(
              `job ${printable(known.job)} is ${known.state} in its queue; what it holds or waits for is not known:`,
            );
          }
          return reportUnknown(inspection, known, invocation);
        }
        const found = { ...inspection, ...(await factsOf(queue, job)) };
        if (found.state === "unknown" && options.queue === undefined && id.includes(":")) {
          throw new UsageError(
            `"${printable(invocation.operand)}" is no job of the queue "${queueName}" with the prefix "${prefix}"; for a prefix with a colon, give --queue and --queue-prefix`,
          );
        }
        if (options.json === true) out.json(found);
        else showJob(found, out);
        return EXIT.ok;
      }
      const queueExists = await isUsed(queue);
      const name = `${prefix}:${queueName}:${id}`;
      if (options.json === true) out.json({ job: name, state: "unknown", queueExists });
      else if (queueExists) {
        out.print(
          `there is no job ${printable(name)}: it was removed, or ended in a queue that keeps no ended jobs`,
        );
      } else out.print(`there is no queue ${printable(`${prefix}:${queueName}`)} on this Redis`);
      return EXIT.finding;
    });
  });
}

/** What a job waits for, and holds. @throws {LockUnavailableError} */
async function inspectWithKeys(
  redlock: Redlock,
  job: Job,
): Promise<JobInspection & Pick<Found, "held">> {
  const inspection = await inspectJob(redlock, job);
  const { job: name, state, delayedBy, keys } = inspection;
  // A job that waits in its worker slot holds nothing.
  const mayHold = delayedBy === "retry" || (state === "active" && keys.length === 0);
  if (!mayHold) return { ...inspection, held: [] };
  const { held, waitedFor } = await searchFor(name, redlock);
  if (state !== "active" || held.length > 0) return { ...inspection, held };
  // A job that waits in its worker slot, and was never parked, has stored no keys.
  const { context } = engineOf(redlock);
  const isOfJob = (position: string): boolean => waiterAt(position).job === name;
  return { ...inspection, held, keys: await findAwaitedKeys(context, isOfJob, waitedFor) };
}

/** The keys that a job holds, or that are kept for its next attempt while others wait for them, and all that have waiters. Reads all locks. */
async function searchFor(
  name: string,
  redlock: Redlock,
): Promise<{ held: string[]; waitedFor: string[] }> {
  const held: string[] = [];
  const waitedFor: string[] = [];
  for await (const { key, holders, reserved, waiting } of redlock.list("*")) {
    const holds = holders.some((each) => readHoldingJob(storedTextOf(each))?.job === name);
    if (holds || (reserved?.forRetry === true && reserved.job === name)) held.push(key);
    if (waiting > 0) waitedFor.push(key);
  }
  return { held: held.toSorted(), waitedFor: waitedFor.toSorted() };
}

/** What BullMQ knows of a job, beside its state. Times are milliseconds since 1970. */
interface Facts {
  readonly attemptsMade: number;
  readonly processedOn: number | undefined;
  readonly finishedOn: number | undefined;
  readonly failedReason: string | undefined;
  /** Why a job completed without having run. */
  readonly skipped:
    | { readonly reason: string; readonly key: string; readonly holder: string | undefined }
    | undefined;
  readonly queuePaused: boolean;
  /** The number of workers; `undefined` where the server does not list its clients. */
  readonly workers: number | undefined;
}

async function factsOf(queue: Queue, job: Job): Promise<Facts> {
  const [queuePaused, workers] = await Promise.all([
    queue.isPaused(),
    queue.getWorkersCount().catch(() => undefined),
  ]);
  const { attemptsMade, processedOn, finishedOn, failedReason } = job;
  const skipped = skippedOf(job.returnvalue);
  return { attemptsMade, processedOn, finishedOn, failedReason, skipped, queuePaused, workers };
}

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

type Found = JobInspection & Facts & { readonly held: readonly string[] };

function showJob(found: Found, out: Screen): void {
  out.print(out.paint("bold", `job ${printable(found.job)} ${headline(found)}`));
  const rows = found.keys.flatMap(rowsOf);
  if (rows.length > 0) {
    out.print("", ...titledTable(out, [["KEY", "HOLDER", "FOR", "POSITION"], ...rows]));
  }
  const sentences = advise(found).flatMap((sentence) => wrap(sentence, ""));
  if (sentences.length > 0) out.print("", ...sentences);
}

function rowsOf({ key, holders, reserved, position, waiting }: AwaitedKey): string[][] {
  const first = [printable(key), `${position} of ${waiting}`] as const;
  const described = holders.map((holder) => [
    holder.slot === undefined ? holderName(holder) : `slot ${holder.slot}: ${holderName(holder)}`,
    holder.since === undefined ? "-" : duration(Date.now() - holder.since),
  ]);
  if (described.length === 0) {
    described.push([reserved === undefined ? "(none now)" : reservation(reserved), "-"]);
  }
  return described.map((columns, row) => {
    const [name, at] = row === 0 ? first : ["", ""];
    return [name, ...columns, at];
  });
}

function headline(found: Found): string {
  const { state, delayedBy, keys, waitingSince, skipped, failedReason } = found;
  const waited = waitingSince === undefined ? undefined : duration(Date.now() - waitingSince);
  const inAll = waited === undefined ? "" : `; it has been waiting for ${waited} in all`;
  const names = keys.length === 1 ? printable(keys[0]?.key ?? "") : count(keys.length, "key");
  switch (delayedBy ?? state) {
    case "parked":
      return waited === undefined
        ? `is parked: it waits for ${names}`
        : `is parked: it has been waiting for ${names} for ${waited}`;
    case "unavailable":
      return `is delayed, and waits for its lock, but in no wait list${inAll}`;
    case "lost":
      return "is delayed: it lost its lock while it ran";
    case "retry":
      return `is delayed after ${count(found.attemptsMade, "failed attempt")}: ${quote(failedReason)}`;
    case "delay":
      return "is delayed by its own delay, and waits for no key";
    case "waiting":
    case "prioritized":
      return keys.length > 0
        ? `was woken, and waits for a worker${inAll}`
        : `waits for a worker${inAll}`;
    case "active":
      return keys.length > 0
        ? `is active, and waits in its worker slot for ${names}`
        : `has been active since ${time(found.processedOn)}, and ${holding(found.held)}`;
    case "completed":
      return skipped === undefined
        ? `completed at ${time(found.finishedOn)}`
        : `completed at ${time(found.finishedOn)} without having run ${reasonOf(skipped)}`;
    case "failed":
      return `failed at ${time(found.finishedOn)}: ${quote(failedReason)}`;
    default:
      return `is in the state ${state}, and waits for no key`;
  }
}

function reasonOf({ reason, key, holder }: NonNullable<Found["skipped"]>): string {
  const who = printable(holder ?? "a waiter");
  return reason === "superseded"
    ? `(superseded): ${who} is the newer one for ${printable(key)}`
    : `(${reason}): ${printable(key)} was held by ${who}`;
}

function holding(held: readonly string[]): string {
  return held.length === 0
    ? "holds no key, and waits for none: it needs none, or has lost its lock and works on"
    : `holds ${list(held.map(printable))}`;
}

function time(at: number | undefined): string {
  return at === undefined ? "an unknown time" : moment(at);
}

function quote(reason: string | undefined): string {
  return reason === undefined || reason === "" ? "no reason" : `"${printable(reason)}"`;
}

function advise(found: Found): string[] {
  const { state, delayedBy, keys, held, returnsAt, queuePaused, workers } = found;
  const sentences: string[] = [];
  if (delayedBy === "parked") {
    const isNext = keys.some(({ reserved }) => reserved?.job === found.job);
    sentences.push(
      isNext
        ? "The key is reserved for it: it starts when a worker of its queue takes it up."
        : "It is woken when it is the first in a wait list and that key is released.",
    );
  } else if (delayedBy === "unavailable") {
    sentences.push(
      "Too few masters answered when it asked for its lock, or they have lost the wait list since. This examines them: bullmq-redlock doctor",
    );
  }
  if (returnsAt !== undefined) {
    const left = returnsAt - Date.now();
    const when = left > 0 ? `in ${duration(left)}` : "as soon as a worker is free";
    const waits = delayedBy !== "retry" && delayedBy !== "delay";
    sentences.push(
      `${waits ? "By itself, it comes back and asks for its lock again" : "It runs"} ${when} (${moment(returnsAt)}).`,
    );
  }
  if (delayedBy === "retry" && held.length > 0) {
    sentences.push(`Until then, ${list(held.map(printable))} stays reserved for it (retryOrder).`);
  }
  if (["waiting", "prioritized", "delayed", "paused"].includes(state)) {
    if (queuePaused) sentences.push("The queue is PAUSED: its workers take up no jobs.");
    if (workers === 0) sentences.push("The queue has NO WORKERS: start one.");
  }
  if (state === "active" && workers === 0) {
    sentences.push(
      "The queue has NO WORKERS that take up jobs: the one that runs this job is closing, or has ended. If it has ended, start one: it finds the job stalled, and runs it again.",
    );
  }
  for (const key of [...keys.map((each) => each.key), ...held]) {
    sentences.push(`All about the key: bullmq-redlock inspect ${shellWord(key)}`);
  }
  return sentences;
}
