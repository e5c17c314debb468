import type { Telemetry } from "bullmq";
import { describe, expect, expectTypeOf, it } from "vitest";
import type { RedlockWarning } from "../../src/events.ts";
import type { RedlockTelemetry } from "../../src/redlock/telemetry.ts";
import { simulate } from "../support/simulated-redlock.ts";

function recorder(): { telemetry: RedlockTelemetry; spans: object[]; metrics: unknown[][] } {
  const spans: object[] = [];
  const metrics: unknown[][] = [];
  return {
    spans,
    metrics,
    telemetry: {
      contextManager: { active: () => "the job's context" },
      tracer: {
        startSpan: (name, options, context) => {
          const span = { name, options, context, attributes: {}, ended: false };
          spans.push(span);
          return {
            setAttributes: (attributes) => Object.assign(span.attributes, attributes),
            recordException: (exception) => Object.assign(span, { exception }),
            end: () => {
              span.ended = true;
            },
          };
        },
      },
      meter: {
        createCounter: (name) => ({ add: (...args) => metrics.push([name, ...args]) }),
        createHistogram: (name) => ({ record: (...args) => metrics.push([name, ...args]) }),
      },
    },
  };
}

describe("telemetry", () => {
  it("is BullMQ's own interface", () => {
    expectTypeOf<Telemetry>().toExtend<RedlockTelemetry>();
  });

  it("gets a span below the job's for each acquisition, with its outcome", async () => {
    const { telemetry, spans } = recorder();
    const { clock, redlock, nodes } = simulate(3, { ttl: 1_000, nodeTimeout: 50, telemetry });
    const lock = await clock.until(redlock.acquire("k"));
    await clock.until(redlock.tryAcquire("k"));
    for (const { behaviour } of nodes) behaviour.refused = true;
    await clock.until(redlock.acquire("other").catch(() => {}));
    expect(spans).toMatchObject([
      {
        name: "acquire-lock",
        context: "the job's context",
        ended: true,
        attributes: {
          "bullmq.redlock.keys": ["k"],
          "bullmq.redlock.outcome": "acquired",
          "bullmq.redlock.fencing_token": lock.fencingToken,
        },
      },
      { ended: true, attributes: { "bullmq.redlock.outcome": "conflict" } },
      {
        ended: true,
        attributes: { "bullmq.redlock.outcome": "unavailable" },
        exception: { name: "LockUnavailableError" },
      },
    ]);
    expect(spans[1]).not.toHaveProperty("exception");
  });

  it("counts and times, without keys", async () => {
    const { telemetry, metrics } = recorder();
    const { clock, redlock } = simulate(3, { ttl: 1_000, nodeTimeout: 50, telemetry });
    const lock = await clock.until(redlock.acquire("secret-key"));
    await clock.pass(500);
    await clock.until(lock.release());
    const names = new Set(metrics.map(([name]) => name));
    expect(names).toEqual(
      new Set([
        "bullmq.redlock.acquisitions",
        "bullmq.redlock.acquire.duration",
        "bullmq.redlock.extensions",
        "bullmq.redlock.hold.duration",
        "bullmq.redlock.node.duration",
      ]),
    );
    expect(metrics).toContainEqual(["bullmq.redlock.hold.duration", 500, { outcome: "released" }]);
    expect(JSON.stringify(metrics)).not.toContain("secret-key");
  });

  it("that throws does no harm", async () => {
    const broken: RedlockTelemetry = {
      contextManager: { active: () => undefined },
      tracer: {
        startSpan: () => {
          throw new Error("no exporter");
        },
      },
    };
    const { clock, redlock } = simulate(3, { ttl: 1_000, nodeTimeout: 50, telemetry: broken });
    const warnings: RedlockWarning[] = [];
    redlock.on("warning", (warning) => warnings.push(warning));
    expect(await clock.until(redlock.using("k", () => 5))).toBe(5);
    expect(warnings).toContainEqual(expect.objectContaining({ code: "telemetry-failed" }));
  });

  it.each([
    { how: "throws", fail: () => expect.unreachable("a full buffer") },
    { how: "rejects", fail: () => Promise.reject(new Error("a full buffer")) as never },
  ])("whose instruments fail is a failure of the telemetry alone: each $how", async ({ fail }) => {
    const { telemetry } = recorder();
    const meter = {
      createCounter: () => ({ add: fail }),
      createHistogram: () => ({ record: fail }),
      createGauge: () => ({ record: fail }),
    };
    const options = { ttl: 1_000, nodeTimeout: 50, telemetry: { ...telemetry, meter } };
    const { clock, redlock } = simulate(3, options);
    const codes = new Set<string>();
    redlock.on("warning", ({ code }) => codes.add(code));

    const lock = await clock.until(redlock.acquire("k"));
    await clock.pass(800);
    await clock.until(lock.release());

    expect([...codes]).toEqual(["telemetry-failed"]);
  });

  it("that is none is refused", () => {
    expect(() => simulate(3, { telemetry: 5 as never })).toThrow(/^telemetry: found 5/);
  });
});
