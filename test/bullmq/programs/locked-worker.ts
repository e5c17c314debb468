import { LockedWorker } from "../../../src/worker.ts";
import { Redlock } from "../../../src/index.ts";

/** A worker in a process of its own that runs the jobs of "invoices" in a child, and forwards the progress of the child. */
const task = JSON.parse(process.argv[2]!) as {
  queueUrl: string;
  masterUrls: string[];
  file: string;
};

const worker = new LockedWorker("invoices", new URL(task.file), {
  connection: { url: task.queueUrl },
  lock: {
    redlock: new Redlock({ nodes: task.masterUrls, restartGuard: "trust-new", ttl: 1_000 }),
    key: "account:{{data.account}}",
  },
});
worker.on("progress", (_job, progress) => process.send?.(progress));
