import { percentile } from "../statistics.ts";
import type { JobRecord } from "./shift.ts";

/** What the records of a run come to, of the keys together. */
export interface Account {
  /** Milliseconds from the start to the last job that was done. */
  readonly makespan: number;
  readonly activationsPerJob: number;
  /** Jobs that began while another one of their key ran. */
  readonly overlaps: number;
  /** Jobs that began after one of their key that had been added later. */
  readonly inversions: number;
  /** Milliseconds from the end of a job to the start of the next one of its key, in the middle. */
  readonly gap: number;
}

/** Adds up the records of jobs. */
export function account(records: readonly JobRecord[], startedAt: number): Account {
  let [activations, overlaps, inversions, last] = [0, 0, 0, startedAt];
  const gaps: number[] = [];
  for (const ofKey of byKey(records)) {
    let [latest, busyUntil] = [-1, -Infinity];
    for (const record of ofKey) {
      activations += record.activations;
      if (record.startedAt < busyUntil) overlaps += 1;
      if (record.index < latest) inversions += 1;
      if (busyUntil > -Infinity) gaps.push(record.startedAt - busyUntil);
      latest = Math.max(latest, record.index);
      busyUntil = Math.max(busyUntil, record.endedAt);
      last = Math.max(last, record.completedAt);
    }
  }
  return {
    makespan: last - startedAt,
    activationsPerJob: activations / records.length,
    overlaps,
    inversions,
    gap: percentile(gaps, 0.5),
  };
}

function byKey(records: readonly JobRecord[]): Iterable<readonly JobRecord[]> {
  const keys = new Map<string, JobRecord[]>();
  for (const record of [...records].sort((a, b) => a.startedAt - b.startedAt)) {
    const ofKey = keys.get(record.key);
    if (ofKey === undefined) keys.set(record.key, [record]);
    else ofKey.push(record);
  }
  return keys.values();
}
