/** A process that runs jobs: `job-process.js WRAPPING CONCURRENCY QUEUES URLS`. Started by `job-processes.ts`. */
import { setTimeout as delay } from "node:timers/promises";
import { Shift } from "./shift.ts";

/** Milliseconds between two reports of how many are done. */
const REPORT = 50;

const [wrapping = "", concurrency = "1", queues = "", urls = ""] = process.argv.slice(2);
const [url = "", ...masters] = urls.split(",");
const options = {
  queues: queues.split(","),
  connection: { url },
  concurrency: Number(concurrency),
};
let shift: Shift | undefined;

const ORDERS: Readonly<Record<string, () => Promise<unknown>>> = {
  async open() {
    shift = Shift.of(wrapping, masters, options);
    await shift.ready();
    return "open";
  },
  async start() {
    shift?.start();
    return "started";
  },
  async stop() {
    const records = shift?.records ?? [];
    await shift?.stop();
    shift = undefined;
    return records;
  },
};

process.on("message", (order: string) => {
  ORDERS[order]?.().then(
    (answer) => process.send?.({ answer }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
// Who started us has nothing more to ask, or is gone.
process.on("disconnect", () => process.exit());
for (;;) {
  await delay(REPORT);
  // A job that fails is told by the next order.
  if (shift !== undefined) process.send?.({ done: shift.records.length });
}
