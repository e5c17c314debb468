import type { ConflictPolicy } from "./options.ts";

/**
 * What a conflict policy may do: the job `joins` the wait list at its conflict, it `supersedes` earlier jobs, or it `skips`,
 * that is completes without having run.
 */
type Effect = "joins" | "supersedes" | "skips";

const EFFECTS: Readonly<Record<ConflictPolicy, readonly Effect[]>> = {
  delay: ["joins"],
  wait: [],
  skip: ["skips"],
  fail: [],
  keepLatest: ["joins", "supersedes", "skips"],
  cancelInProgress: ["joins", "supersedes", "skips"],
};

/** A policy, or a function that may choose any. */
type Choice = ConflictPolicy | ((...args: never[]) => unknown);

/** Whether a policy may have an effect. */
export function mayApply(onConflict: Choice, effect: Effect): boolean {
  return typeof onConflict === "function" || EFFECTS[onConflict].includes(effect);
}

/** Whether jobs under this policy may supersede earlier ones. */
export function canSupersede(onConflict: Choice): boolean {
  return mayApply(onConflict, "supersedes");
}

/**
 * Whether jobs join the wait list at their conflict. They do for a function too: it receives how many jobs wait, and of jobs that
 * conflict at the same time each must count.
 */
export function mayPark(onConflict: Choice): boolean {
  return mayApply(onConflict, "joins");
}
