export { type DelayCause, inspectJob, type JobInspection } from "./bullmq/inspect-job.ts";
export { changePriority } from "./bullmq/change-priority.ts";
export { getLock } from "./bullmq/job-lock.ts";
export type {
  ConflictPolicy,
  JobLogs,
  LockPolicies,
  LostPolicy,
  MaxWaitPolicy,
  SkippedResult,
  UnavailablePolicy,
  WithLockOptions,
} from "./bullmq/options.ts";
export { type LockingProcessor, withLock } from "./bullmq/with-lock.ts";
export {
  type Holder,
  type HolderJob,
  LockConfigError,
  LockConflictError,
  LockKeyError,
  LockLostError,
  LockUnavailableError,
  type LossReason,
  type NodeVote,
  RedlockClosedError,
  RedlockError,
  type RedlockErrorCode,
} from "./errors.ts";
export type {
  HeldSlots,
  RedlockEvents,
  RedlockWarning,
  RedlockWarningCode,
  RulesChange,
} from "./events.ts";
export type { JobNames } from "./job-names.ts";
export type { Lock } from "./lock/lock.ts";
export type { NodeOption, NodeOptions, RedisClient } from "./redis/node-options.ts";
export type { Finding, FindingCode, FindingSeverity } from "./ready/findings.ts";

export type { LimitedKey, LockKeys } from "./keys/normalise.ts";
export type { AwaitedKey } from "./redlock/awaited-keys.ts";
export type { CancelOptions } from "./redlock/cancel-holder.ts";
export type { ForceReleaseOptions, ForceReleaseResult } from "./redlock/force-release.ts";
export type { HoldOptions } from "./redlock/hold.ts";
export type { KeyInspection, WaiterInspection } from "./redlock/inspect.ts";
export type { NodeInspection, SlotInspection } from "./redlock/inspect-slots.ts";
export type { ListedKey } from "./redlock/list.ts";
export type { RedlockOptions } from "./redlock/options.ts";
export type { ReadyOptions } from "./ready/ready.ts";
export { type NodeReport, NotReadyError, type ReadyReport } from "./ready/report.ts";
export type { QueueConnection } from "./ready/queue-server.ts";
export { Redlock } from "./redlock/redlock.ts";
export type { NodeStatus, RedlockStatus } from "./redlock/status.ts";
export type { RedlockTelemetry } from "./redlock/telemetry.ts";
export type { WakeResult } from "./redlock/wake.ts";
export type { AcquireOptions } from "./redlock/acquire-request.ts";
