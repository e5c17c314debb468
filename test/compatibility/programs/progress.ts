// The type of a job's progress, which BullMQ has from 6.2 on.
import type { Job, Processor } from "bullmq";
import { Redlock, withLock } from "bullmq-redlock";

interface Charge {
  accountId: string;
}
interface Progress {
  done: number;
}

const redlock = new Redlock({ nodes: ["redis://127.0.0.1:1"] });

const processor = withLock(
  { redlock, key: "account:{{data.accountId}}" },
  async (job: Job<Charge, string, string, Progress>) => {
    await job.updateProgress({ done: 1 });
    // @ts-expect-error this progress has another type
    await job.updateProgress({ percent: 1 });
    return job.data.accountId;
  },
);

export const fits: Processor<Charge, string, string, Progress> = processor;
