import type { Job } from "bullmq";
import { dueAt } from "../bullmq/job-wait.ts";
import { duration, list, ordinal, shorten } from "../describe/words.ts";
import { nameOf } from "../job-names.ts";
import { printable } from "../printable.ts";
import type { Engine } from "../redlock/engine.ts";
import { waiterAt } from "../redlock/inspect.ts";
import { answersOf, longestList, readKey } from "../redlock/read-key.ts";

/** About how many keys the masters are asked for one page of jobs, at most. */
const MOST_KEYS = 100;
/** How many waiters each master reports for one page, shared among the keys; and for one key at most, and in any case. */
const WAITERS = 1_000;
const MOST_OF_KEY = 500;
const LEAST_OF_KEY = 20;
/** How many characters of a key are shown. */
const LONGEST_KEY = 80;

/** A job that waits for a lock. */
export interface WaitingJob {
  readonly job: Job;
  readonly keys: readonly string[];
  /** When the wait began, in ms since 1970. */
  readonly since: number;
}

/** The wait list of a key. */
interface WaitList {
  /** False when too few masters answered. */
  readonly isCertain: boolean;
  readonly waiting: number;
  /** The first waiters, in order, by {@link identityOf}. */
  readonly first: readonly string[];
}

/**
 * Describes what each job waits for: `waits for account:42, 3rd of 7, for 12 s`.
 *
 * The masters are asked about all keys together, in one batch, and for a bounded number of waiters.
 */
export async function describeWaits(
  engine: Engine,
  waits: readonly WaitingJob[],
): Promise<string[]> {
  const lists = await readWaitLists(engine, [...new Set(waits.flatMap(({ keys }) => keys))]);
  const now = Date.now();
  return waits.map(({ job, keys, since }) => {
    const isCertain = keys.every((key) => lists.get(key)?.isCertain !== false);
    return (
      `waits for ${list(keys.map((key) => describeKey(key, lists.get(key), job, keys.length > 1)))}` +
      `, for ${duration(Math.max(0, now - since))}${isCertain ? "" : "; too few masters answer"}`
    );
  });
}

async function readWaitLists(
  { context, closing }: Engine,
  keys: readonly string[],
): Promise<ReadonlyMap<string, WaitList>> {
  // A `Redlock` that was closed before the page asks no master.
  if (closing.aborted) return new Map();
  const asked = keys.slice(0, MOST_KEYS);
  const share = Math.trunc(WAITERS / asked.length);
  const count = Math.min(MOST_OF_KEY, Math.max(LEAST_OF_KEY, share));
  const lists = asked.map(async (key): Promise<[string, WaitList]> => {
    const replies = await readKey(context, key, { count });
    const { waiting = 0, first = [] } = longestList(replies) ?? {};
    const isCertain = answersOf(replies).length >= context.masters.quorum;
    const names = first.map(({ position }) => {
      const { job, since } = waiterAt(position);
      return identityOf(job, since);
    });
    return [key, { isCertain, waiting, first: names }];
  });
  return new Map(await Promise.all(lists));
}

/** A key, and the position of a job in its wait list if that is known. */
function describeKey(
  key: string,
  list: WaitList | undefined,
  job: Job,
  isOneOfSeveral: boolean,
): string {
  const shown = shorten(printable(key), LONGEST_KEY);
  const position = list && positionIn(list, job);
  if (position === undefined) return shown;
  return isOneOfSeveral ? `${shown} (${position})` : `${shown}, ${position}`;
}

function positionIn({ first, waiting }: WaitList, job: Job): string | undefined {
  const index = first.indexOf(identityOf(nameOf(job), dueAt(job)));
  if (index !== -1) return `${ordinal(index + 1)} of ${waiting}`;
  return waiting > first.length ? `after the first ${first.length} of ${waiting}` : undefined;
}

/** Two queues on different servers may have the same name; their jobs differ by the time at which they were due. */
function identityOf(job: string | undefined, due: number | undefined): string {
  return `${due} ${job}`;
}
