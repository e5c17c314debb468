export { LockedWorker, type LockedWorkerOptions } from "./bullmq/locked-worker.ts";
export type { LockedSandboxedJob, SandboxedLock } from "./bullmq/sandbox.ts";
