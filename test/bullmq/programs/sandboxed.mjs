import { mkdirSync, rmdirSync } from "node:fs";
import { connect } from "node:net";
import { isMainThread, threadId } from "node:worker_threads";

/** A processor in a file: it does what the data of its job say, and reports by its progress. */
export default async function process(job, jobToken, signal) {
  const { does, room } = job.data;
  await job.updateProgress({ pid: globalThis.process.pid, threadId, lock: job.lock });
  return await deeds[does]({ job, jobToken, signal, room });
}

const deeds = {
  /** Fails if another job is in the room. */
  async visit({ job, room }) {
    mkdirSync(room);
    await new Promise((resolve) => setTimeout(resolve, 20));
    rmdirSync(room);
    return job.lock;
  },
  /** Works without a break, so that it could extend nothing. */
  block({ room }) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(room));
    return "blocked";
  },
  async waitForAbort({ signal }) {
    await aborted(signal);
    return { reason: signal.reason };
  },
  async waitOnce({ job, signal }) {
    if (job.attemptsStarted > 1) return "second";
    await aborted(signal);
    return "first";
  },
  async throwReason({ signal }) {
    await aborted(signal);
    signal.throwIfAborted();
  },
  /** Keeps a connection to the test until it ends, one way or another. */
  async stay({ room }) {
    const socket = connect(room, "127.0.0.1");
    await new Promise((resolve) => socket.once("close", resolve));
    // BullMQ's child does not end without its worker, and keeps a core busy.
    if (isMainThread && !globalThis.process.connected) globalThis.process.exit(1);
  },
  async stayUntilOrphaned({ room }) {
    globalThis.process.once("disconnect", () => globalThis.process.exit(1));
    await deeds.stay({ room });
  },
  exit() {
    globalThis.process.exit(3);
  },
  giveUp() {
    throw Object.assign(new Error("never again"), { name: "UnrecoverableError" });
  },
  token({ jobToken }) {
    return jobToken;
  },
};

async function aborted(signal) {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
