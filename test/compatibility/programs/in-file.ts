import type { LockedSandboxedJob } from "bullmq-redlock/worker";

/** A processor in a file: gives what it was told about its lock. */
export default async function inFile(
  job: LockedSandboxedJob<{ accountId: string }>,
): Promise<{ keys: readonly string[]; fencingToken: number }> {
  return await Promise.resolve({ keys: job.lock.keys, fencingToken: job.lock.fencingToken });
}
