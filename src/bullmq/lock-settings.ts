import type { Job } from "bullmq";
import type { DataOption } from "../data-option.ts";
import {
  CONFLICT_POLICIES,
  JOB_LOGS,
  type LockPolicies,
  LOST_POLICIES,
  MAX_WAIT_POLICIES,
  ORDERS,
  UNAVAILABLE_POLICIES,
} from "./options.ts";

/**
 * The options of `withLock` that are data, but for the key. A rules file takes these in each rule, and at its top for
 * all rules; a new option of `withLock` does not compile until it is here.
 */
export const LOCK_DATA_OPTIONS = {
  onConflict: {
    takes: CONFLICT_POLICIES,
    says: 'What a job does whose key somebody else holds; default "delay".',
  },
  order: {
    takes: ORDERS,
    says: 'Which of several jobs has a free key: the first that asks, or by "strict" the first of its queue; default "arrival".',
  },
  onUnavailable: {
    takes: UNAVAILABLE_POLICIES,
    says: 'What a job does while too few masters answer; default "delay".',
  },
  onLost: {
    takes: LOST_POLICIES,
    says: 'What becomes of a job that lost its lock while it ran; default "delay".',
  },
  ttl: { takes: "duration", says: "How long the lock lives when nobody extends it." },
  heartbeat: {
    takes: "duration or false",
    says: "Between two extends of the lock; default a third of the ttl.",
  },
  waitTimeout: {
    takes: "duration",
    says: 'How long a job waits in its slot under onConflict "wait"; default 5s.',
  },
  maxWait: {
    takes: "duration",
    says: "How long a job may be put aside since it first was; default for ever.",
  },
  maxHold: {
    takes: "duration",
    says: "How long a job may hold its lock; then its signal aborts and it fails; default for ever.",
  },
  minHold: {
    takes: "duration",
    says: "For how long, from the grant on, the keys stay taken after a job that succeeded; default 0.",
  },
  onMaxWait: { takes: MAX_WAIT_POLICIES, says: 'What a job does after maxWait; default "fail".' },
  jobLogs: {
    takes: JOB_LOGS,
    says: 'Which lines the log of a job gets; default "conflicts".',
  },
} as const satisfies Record<Exclude<keyof LockPolicies<Job>, "redlock" | "skipResult">, DataOption>;
