import type { Job } from "bullmq";
import { expect, onTestFinished, test } from "vitest";
import { withLock } from "../../src/index.ts";
import { RESERVATION } from "../../src/waiters/reservations-lua.ts";
import { waitFor } from "../support/wait-for.ts";
import { Gate, useBench } from "./support.ts";

interface Data {
  key: string;
}

const bench = useBench();
/** Each would keep its old key for a good part of a reservation. */
const PARKED = 30;

test.each([
  ["free keys", (index: number) => `own-${index}`],
  ["a key that fails them", () => ""],
])("parked jobs that are given %s do not hold up their old key one by one", async (_, keyOf) => {
  const redlock = bench.redlock({ ttl: 10_000 });
  const queue = bench.queue();
  const gate = new Gate();
  const started = new Map<string, number>();
  const worker = bench.worker(
    withLock({ redlock, key: "{{data.key}}" }, async ({ name }: Job<Data>) => {
      started.set(name, performance.now());
      if (name === "holder") await gate.opened;
    }),
    { concurrency: 4 },
  );
  onTestFinished(() => gate.open());
  await queue.add("holder", { key: "a" });
  await waitFor(() => expect(started.has("holder")).toBe(true));
  const jobs = await queue.addBulk(
    Array.from({ length: PARKED }, (_, index) => ({ name: `moved ${index}`, data: { key: "a" } })),
  );
  await waitFor(async () => expect(await queue.getDelayedCount()).toBe(PARKED));
  for (const [index, job] of jobs.entries()) await job.updateData({ key: keyOf(index) });
  let failed = 0;
  worker.on("failed", () => (failed += 1));
  await queue.add("last", { key: "a" });
  await waitFor(async () => expect(await queue.getDelayedCount()).toBe(PARKED + 1));

  const released = performance.now();
  gate.open();

  await waitFor(() => expect(started.size + failed).toBe(PARKED + 2));
  // Not a figure of speed: one after the other they would take several reservations.
  expect(started.get("last")! - released).toBeLessThan(RESERVATION);
});
