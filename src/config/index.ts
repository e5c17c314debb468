export type { Conditions, ConditionValue } from "./condition.ts";
export { defineLocks, type LockRule, type LockRules, type LocksOptions } from "./define-locks.ts";
export type { DurationText } from "./duration.ts";
export type { ExplainedJob, Explanation } from "./explain.ts";
export { type FileLocks, loadLocks } from "./load-locks.ts";
export type { Locks } from "./locks.ts";
export type { RuleMatch } from "./rule.ts";
export { LockRulesError, type RulesProblem } from "./rules-error.ts";
export type { SourceLine } from "./source-line.ts";
