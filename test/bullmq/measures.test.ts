import { metrics } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { BullMQOtel } from "bullmq-otel";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LockLostError, type RedlockEvents, withLock } from "../../src/index.ts";
import { ends, Gate, next, QUEUE, useBench } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const bench = useBench();
const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const provider = new MeterProvider({
  readers: [new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })],
});
metrics.setGlobalMeterProvider(provider);
const telemetry = new BullMQOtel({ tracerName: "test", enableMetrics: true });

interface Point {
  readonly attributes: Record<string, unknown>;
  readonly value: unknown;
}

/** What the SDK has received, by the name of the metric. */
async function received(): Promise<Map<string, readonly Point[]>> {
  exporter.reset();
  await provider.forceFlush();
  const points = new Map<string, readonly Point[]>();
  for (const { scopeMetrics } of exporter.getMetrics())
    for (const { metrics } of scopeMetrics)
      for (const { descriptor, dataPoints } of metrics)
        if (descriptor.name.startsWith("bullmq.redlock.")) points.set(descriptor.name, dataPoints);
  return points;
}

/** The sum of a histogram over the points with the attributes. */
function sumOf(points: readonly Point[] | undefined, attributes: object = {}): number {
  const fitting = (points ?? []).filter((point) =>
    Object.entries(attributes).every(([name, value]) => point.attributes[name] === value),
  );
  return fitting.reduce(
    (sum, { value }) =>
      sum + (typeof value === "number" ? value : ((value as { sum?: number }).sum ?? 0)),
    0,
  );
}

/** Lets one job hold a key for 300 ms while another is parked for it. */
async function parkOne(options: { maxWait?: number } = {}) {
  const redlock = bench.redlock({ telemetry });
  const acquired: RedlockEvents["acquired"][0][] = [];
  redlock.on("acquired", (event) => acquired.push(event));
  const parked = next(redlock, "parked");
  const released = next(redlock, "released");
  const gate = new Gate();
  const queue = bench.queue();
  const jobs = await queue.addBulk([
    { name: "first", data: { account: "secret-account" } },
    { name: "second", data: { account: "secret-account" } },
  ]);
  const worker = bench.worker(
    withLock({ redlock, key: "{{data.account}}", ...options }, async () => await gate.opened),
    { concurrency: 2 },
  );
  const ended = ends(worker, 2);
  const refused = await parked;
  const refusedAt = Date.now();
  const during = { metrics: await received(), status: redlock.status() };
  await waitFor(() => expect(Date.now() - refusedAt).toBeGreaterThan(300));
  gate.open();
  await ended;
  return { redlock, acquired, refused, released: await released, jobs, during };
}

test("a parked job reports how long it has waited, and which job it is", async () => {
  const { acquired, released, refused } = await parkOne();
  expect(acquired).toMatchObject([
    { refused: false, queue: QUEUE },
    { refused: true, queue: QUEUE, job: refused.job },
  ]);
  expect(acquired[1]!.waited).toBeGreaterThanOrEqual(295);
  expect(acquired[0]!.waited).toBeLessThan(acquired[1]!.waited);
  expect(refused).toMatchObject({ queue: QUEUE });
  expect(released).toMatchObject({ queue: QUEUE, job: acquired[0]!.job });
});

test("a lock that is lost twice, and one that was never held, count right as held", async () => {
  const redlock = bench.redlock({ telemetry });
  const lock = await redlock.acquire("a");
  const { fencingToken } = lock;
  const error = new LockLostError({
    keys: ["a"],
    reason: "job-lock-lost",
    fencingToken,
    heldFor: 1,
  });
  for (const keys of [["a"], ["a"], []]) redlock.emit("lost", { keys, fencingToken, error });
  await lock.release();
  expect(sumOf((await received()).get("bullmq.redlock.held"), {})).toBe(0);
});

test("metrics name the queue and never a key", async () => {
  const before = await received();
  const { during } = await parkOne({ maxWait: 60_000 });
  const after = await received();
  const queue = { "bullmq.queue.name": QUEUE };
  const grown = (name: string, attributes: object = queue): number =>
    sumOf(after.get(`bullmq.redlock.${name}`), attributes) -
    sumOf(before.get(`bullmq.redlock.${name}`), attributes);
  expect(grown("wait.duration")).toBeGreaterThanOrEqual(295);
  expect(grown("hold.duration", { ...queue, outcome: "released" })).toBeGreaterThan(295);
  expect(grown("parked", { ...queue, reason: "conflict" })).toBeGreaterThanOrEqual(1);
  expect(grown("woken")).toBeGreaterThanOrEqual(1);
  expect(grown("acquisitions", { ...queue, outcome: "acquired" })).toBe(2);
  expect(grown("node.duration", {})).toBeGreaterThan(0);
  expect(sumOf(during.metrics.get("bullmq.redlock.held"), queue)).toBe(1);
  expect(sumOf(during.metrics.get("bullmq.redlock.parked.jobs"), queue)).toBe(1);
  expect(sumOf(during.metrics.get("bullmq.redlock.nodes.voting"))).toBe(3);
  expect(during.status).toMatchObject({ ok: true, quorum: 2, held: 1, parked: 1 });
  expect(during.status.nodes.map(({ state, votes }) => [state, votes])).toEqual([
    ["up", true],
    ["up", true],
    ["up", true],
  ]);
  await waitFor(async () => {
    const idle = await received();
    expect(sumOf(idle.get("bullmq.redlock.held"), queue)).toBe(0);
    expect(sumOf(idle.get("bullmq.redlock.parked.jobs"), queue)).toBe(0);
  });
  expect(JSON.stringify([...after])).not.toContain("secret-account");
});

test("a skipped job is reported and counted", async () => {
  const redlock = bench.redlock({ telemetry });
  const skipped = next(redlock, "skipped");
  const before = await received();
  const gate = new Gate();
  const queue = bench.queue();
  await queue.addBulk(["a", "b"].map((name) => ({ name, data: {} })));
  const worker = bench.worker(
    withLock({ redlock, key: "one", onConflict: "skip" }, async () => await gate.opened),
    { concurrency: 2 },
  );
  const ended = ends(worker, 2);
  expect(await skipped).toMatchObject({ keys: ["one"], queue: QUEUE, reason: "conflict" });
  gate.open();
  await ended;
  const attributes = { "bullmq.queue.name": QUEUE, reason: "conflict" };
  expect(
    sumOf((await received()).get("bullmq.redlock.skipped"), attributes) -
      sumOf(before.get("bullmq.redlock.skipped"), attributes),
  ).toBe(1);
});

test("a loss names its job and is counted by reason", async () => {
  const redlock = bench.redlock({ telemetry });
  const lost = next(redlock, "lost");
  const queue = bench.queue();
  const job = await queue.add("slow", {});
  const worker = bench.worker(
    withLock({ redlock, key: "one", maxHold: 20 }, async (_job, _token, signal) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }),
  );
  await ends(worker, 1);
  expect(await lost).toMatchObject({ queue: QUEUE, job: `bull:${QUEUE}:${job.id}` });
  const attributes = { "bullmq.queue.name": QUEUE, reason: "held-too-long" };
  expect(sumOf((await received()).get("bullmq.redlock.lost"), attributes)).toBe(1);
});

/** Names of metrics as Prometheus has them, without the suffixes that an exporter adds for units and kinds. */
function namesIn(text: string): Set<string> {
  const names = text.matchAll(/\bbullmq_redlock_[a-z_]+/g);
  return new Set(
    Array.from(names, ([name]) =>
      name.replace(/(?:_milliseconds)?_(?:bucket|sum|count)$|_total$/, ""),
    ),
  );
}

test.each(["docs/grafana-dashboard.json", "docs/alerts.yaml"])(
  "%s asks for metrics that exist",
  async (file) => {
    const text = readFileSync(join(import.meta.dirname, "../..", file), "utf8");
    const points = await received();
    const attributes = [...points.values()]
      .flat()
      .flatMap((point) => Object.keys(point.attributes));
    const known = new Set(
      [...points.keys(), ...attributes].map((name) => name.replaceAll(".", "_")),
    );
    const asked = [...namesIn(text)];
    expect(asked.length).toBeGreaterThan(3);
    expect(asked.filter((name) => !known.has(name))).toEqual([]);
  },
);
