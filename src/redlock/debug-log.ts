import { debuglog, inspect } from "node:util";
import type { RedlockEvents, SafeEmitter } from "../events.ts";
import { printable } from "../printable.ts";

const log = debuglog("bullmq-redlock");

/** One line for each event. */
const FORM = { breakLength: Infinity, compact: true, depth: 4 };

/** The events that are written. Warnings reach the listeners of the user, or the process. */
const EVENTS = [
  "acquired",
  "conflict",
  "parked",
  "woken",
  "skipped",
  "lost",
  "released",
  "node:up",
  "node:down",
  "node:quarantined",
] as const satisfies readonly (keyof RedlockEvents)[];

/**
 * Writes a line to standard error for each event about locks, waiters and masters, with its data, under
 * `NODE_DEBUG=bullmq-redlock`. Without it nothing listens.
 */
export function logEvents(events: SafeEmitter): void {
  if (!log.enabled) return;
  for (const event of EVENTS) {
    events.on(event, (data: object) => {
      const shown = "error" in data ? { ...data, error: String(data.error) } : data;
      log("%s", printable(`${event} ${inspect(shown, FORM)}`));
    });
  }
}
