import type { JobInspection } from "../bullmq/inspect-job.ts";
import { holderName } from "../describe/describe-key.ts";
import { count, duration, moment, shellWord } from "../describe/words.ts";
import { printable } from "../printable.ts";
import type { AwaitedKey } from "../redlock/awaited-keys.ts";
import { type Screen, titledTable, wrap } from "./screen.ts";

/** What BullMQ knows of a job, beside its state. Times are milliseconds since 1970. */
export interface Facts {
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

type Found = JobInspection & Facts;

/** Shows why a job does not run. */
export function showJob(found: Found, out: Screen): void {
  out.say(out.paint("bold", `job ${printable(found.job)} ${headline(found)}`));
  const rows = found.keys.flatMap(rowsOf);
  if (rows.length > 0) {
    out.say("", ...titledTable(out, [["KEY", "HOLDER", "FOR", "POSITION"], ...rows]));
  }
  const sentences = advise(found).flatMap((sentence) => wrap(sentence, ""));
  if (sentences.length > 0) out.say("", ...sentences);
}

/** The holders of a key, a row each. */
function rowsOf({ key, holders, position, waiting }: AwaitedKey): string[][] {
  const first = [printable(key), `${position} of ${waiting}`] as const;
  const described = holders.map((holder) => [
    holder.slot === undefined ? holderName(holder) : `slot ${holder.slot}: ${holderName(holder)}`,
    holder.since === undefined ? "-" : duration(Date.now() - holder.since),
  ]);
  if (described.length === 0) described.push(["(none now)", "-"]);
  return described.map((columns, row) => {
    const [name, at] = row === 0 ? first : ["", ""];
    return [name, ...columns, at];
  });
}

function headline(found: Found): string {
  const { state, delayedBy, keys, waitingSince, skipped, failedReason } = found;
  const waited = waitingSince === undefined ? "" : `, for ${duration(Date.now() - waitingSince)}`;
  const names = keys.length === 1 ? printable(keys[0]?.key ?? "") : count(keys.length, "key");
  switch (delayedBy ?? state) {
    case "parked":
      return `is parked: it waits for ${names}${waited}`;
    case "unavailable":
      return `is delayed, and waits for its lock${waited}, but in no wait list`;
    case "lost":
      return "is delayed: it lost its lock while it ran";
    case "retry":
      return `is delayed after ${count(found.attemptsMade, "failed attempt")}: ${quote(failedReason)}`;
    case "delay":
      return "is delayed by its own delay, and waits for no key";
    case "waiting":
    case "prioritized":
      return keys.length > 0
        ? `was woken, and waits for a worker${waited}`
        : `waits for a worker${waited}`;
    case "active":
      return keys.length > 0
        ? `is active, and waits in its slot for ${names}`
        : `is active since ${time(found.processedOn)}, and waits for no key`;
    case "completed":
      return skipped === undefined
        ? `completed at ${time(found.finishedOn)}`
        : `completed at ${time(found.finishedOn)} without having run (${skipped.reason}): ${printable(skipped.key)} was held by ${printable(skipped.holder ?? "a waiter")}`;
    case "failed":
      return `failed at ${time(found.finishedOn)}: ${quote(failedReason)}`;
    default:
      return `is in the state ${state}, and waits for no key`;
  }
}

function time(at: number | undefined): string {
  return at === undefined ? "an unknown time" : moment(at);
}

function quote(reason: string | undefined): string {
  return reason === undefined || reason === "" ? "no reason" : `"${printable(reason)}"`;
}

function advise(found: Found): string[] {
  const { state, delayedBy, keys, returnsAt, queuePaused, workers } = found;
  const sentences: string[] = [];
  if (delayedBy === "parked") {
    sentences.push("It is woken when it is the first in a wait list and that key is released.");
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
  if (["waiting", "prioritized", "delayed", "paused"].includes(state)) {
    if (queuePaused) sentences.push("The queue is PAUSED: its workers take up no jobs.");
    if (workers === 0) sentences.push("The queue has NO WORKERS.");
  }
  for (const { key } of keys) {
    sentences.push(`All about the key: bullmq-redlock inspect ${shellWord(key)}`);
  }
  return sentences;
}
