import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type RedlockWarningCode, SafeEmitter } from "../src/events.ts";

/** All there are: one that is missing, or that is none, does not compile. */
const CODES = {
  "node-count": true,
  "duplicate-server": true,
  refused: true,
  "no-quorum": true,
  "longest-ttl-unknown": true,
  "max-ttl": true,
  limit: true,
  "listener-failed": true,
  "telemetry-failed": true,
  "job-log-failed": true,
  "delay-failed": true,
  "queue-id-unknown": true,
  "clock-ahead": true,
  "cancel-failed": true,
  "closed-before-worker": true,
  "max-started-attempts": true,
  limiter: true,
  "deduplication-replace": true,
  "deduplication-keep-last": true,
  "scheduler-delay": true,
  "ttl-outlasts-job": true,
  "max-wait-ignored": true,
  "strict-order-ignored": true,
  "retry-order-ignored": true,
  "queue-server": true,
} as const satisfies Record<RedlockWarningCode, true>;

describe("docs/events.md", () => {
  it("has every code of a warning, and no other", () => {
    const page = readFileSync(join(import.meta.dirname, "../docs/events.md"), "utf8");
    const tables = page.split(/\n\n/).filter((part) => part.startsWith("| `warning`"));
    const codes = tables.flatMap((table) =>
      Array.from(table.matchAll(/^\| `([^`]+)`/gm), ([, code]) => code),
    );
    const documented = codes.filter((code) => code !== "warning");
    expect(documented).toHaveLength(new Set(documented).size);
    expect(new Set(documented)).toEqual(new Set(Object.keys(CODES)));
  });
});

describe("a listener", () => {
  it("of a misspelt event does not compile", () => {
    const events = new SafeEmitter();
    for (const method of ["on", "once", "off"] as const) {
      // @ts-expect-error the event is "acquired"
      events[method]("aquired", () => undefined);
      events[method]("acquired", ({ keys }) => keys.length);
    }
    expect(events.hears("acquired")).toBe(true);
  });
});
