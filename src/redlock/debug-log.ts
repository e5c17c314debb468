import { debuglog } from "node:util";
import type { SafeEmitter } from "../events.ts";
import { printable } from "../printable.ts";
import { describeConflict, quoteKeys } from "../sentences.ts";

const log = debuglog("bullmq-redlock");

/**
 * Writes a line to standard error for each event about locks, waiters and masters, under `NODE_DEBUG=bullmq-redlock`. Without it
 * nothing listens. Warnings are not written: they reach the listeners of the user, or the process.
 */
export function logEvents(events: SafeEmitter): void {
  if (!log.enabled) return;
  const line = (text: string): void => log("%s", text);
  events.on("acquired", ({ keys, job, fencingToken, waited }) =>
    line(
      `acquired ${quoteKeys(keys)}${ofJob(" for", job)}, ${token(fencingToken)}, after ${ms(waited)}`,
    ),
  );
  events.on("conflict", (conflict) =>
    line(`conflict${ofJob(" of", conflict.job)}: ${describeConflict(conflict)}`),
  );
  events.on("parked", ({ keys, job, reason, delay }) =>
    line(`parked ${printable(job)} for ${ms(delay)}: ${reason} about ${quoteKeys(keys)}`),
  );
  events.on("woken", ({ job }) => line(`woken ${printable(job)}`));
  events.on("skipped", ({ keys, job, reason }) =>
    line(`skipped ${printable(job)}: ${reason} about ${quoteKeys(keys)}`),
  );
  events.on("lost", ({ job, error }) => line(`lost${ofJob(" by", job)}: ${error.message}`));
  events.on("released", ({ keys, job, fencingToken, held, outcome }) =>
    line(
      `released ${quoteKeys(keys)}${ofJob(" of", job)}, ${token(fencingToken)}, held for ${ms(held)}: ${outcome}`,
    ),
  );
  events.on("node:up", ({ node }) => line(`node up: ${node}`));
  events.on("node:down", ({ node, cause }) => line(`node down: ${node}: ${printable(cause)}`));
  events.on("node:quarantined", ({ node, remaining }) =>
    line(`node quarantined: ${node} gives no vote for ${ms(remaining)}`),
  );
}

function token(fencingToken: number): string {
  return `fencing token ${fencingToken}`;
}

function ms(duration: number): string {
  return `${Math.round(duration)} ms`;
}

function ofJob(preposition: string, job: string | undefined): string {
  return job === undefined ? "" : `${preposition} ${printable(job)}`;
}
