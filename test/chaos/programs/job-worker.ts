import { type Job, Worker } from "bullmq";
import { withLock } from "../../../src/index.ts";
import type { WorkerTask } from "../worker-processes.ts";
import { Journal } from "../journal.ts";
import { makeOurs } from "../lock-client.ts";
import { RemoteResource } from "../resource.ts";
import { drawWork, Sections } from "../section.ts";

/** A BullMQ worker whose processor is locked; it ends when it is told to, or killed. */
const task = JSON.parse(process.argv[2] ?? "") as WorkerTask;
const journal = new Journal(task.folder, `worker-${process.pid}`);
const resource = new RemoteResource(task.socket);
const sections = new Sections(resource, journal);
const redlock = makeOurs(task.urls, task.terms.ttl, true);

process.on("unhandledRejection", (reason) => noteUnhandled(reason));
process.on("uncaughtException", (error) => noteUnhandled(error));
process.once("message", () => void end());
process.on("disconnect", () => process.exit());

const processor = withLock(
  { redlock, key: "{{data.key}}" },
  async (job: Job<{ key: string }>, _jobToken, _signal, lock) => {
    const hold = {
      get lost() {
        return !lock.held;
      },
      fencingToken: lock.fencingToken,
      remaining: () => lock.remaining(),
      release: () => Promise.resolve(),
    };
    await sections.work(job.data.key, hold, drawWork(task.terms.ttl));
    process.send?.("worked");
  },
);

const worker = new Worker("orders", processor, {
  connection: { url: task.queueUrl ?? "" },
  concurrency: task.tasks,
  // A killed or stopped worker is noticed soon, however often it happens to a job.
  lockDuration: 2_000,
  stalledInterval: 500,
  maxStalledCount: 1_000,
});
// Of jobs that went on elsewhere while this process was stopped.
worker.on("error", () => undefined);

async function end(): Promise<void> {
  await worker.close();
  await redlock.close();
  resource.close();
  process.exit();
}

function noteUnhandled(reason: unknown): void {
  const message = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
  journal.write({ what: "unhandled", message });
}
