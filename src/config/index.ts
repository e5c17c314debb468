export { defineLocks, type LockRule, type LockRules, type LocksOptions } from "./define-locks.ts";
export type { DurationText } from "./duration.ts";
export type { ExplainedJob, Explanation } from "./explain.ts";
export { type FileLocks, loadLocks } from "./load-locks.ts";
export type { Locks } from "./locks.ts";
export { LockRulesError, type RulesProblem, type SourceLine } from "./problem.ts";
export type { Conditions, ConditionValue, RuleMatch } from "./rule.ts";
