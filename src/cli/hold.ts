import { setTimeout as sleep } from "node:timers/promises";
import { LONGEST_TIMER } from "../clock.ts";
import { holderName } from "../describe/describe-key.ts";
import { duration, moment, shellWord } from "../describe/words.ts";
import { LockConflictError } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import { printable } from "../printable.ts";
import { readKey, readTime, readTimeout } from "./arguments.ts";
import { type Command, EXIT, type ExitCode, UsageError } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readMasters, withRedlock } from "./connect.ts";

/** Bounds of `--for`, in ms. */
const LENGTH = { min: 1_000, max: LONGEST_TIMER };
/** Bounds of `--timeout`: how long to wait for the present holder, in ms. */
const WAIT = { min: 10, max: LONGEST_TIMER, otherwise: 600_000 };

/** Ctrl-C, the end of a service, and the end of a terminal. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export const hold: Command = {
  summary: "pause a key: its jobs are parked until the hold ends",
  takes: [...MASTER_OPTIONS, "for", "reason"],
  help: `Usage: bullmq-redlock hold [options] KEY

Acquires a key as an operator, after its present holder and before all waiters, so that
jobs of the key wait. The command stays until the hold ends, and extends its lock: after
the time, at Ctrl-C or SIGTERM, or by bullmq-redlock release KEY from another terminal.
If the command is killed or loses its machine, the hold ends within the ttl (15s, or
that of the rules file). For a hold that outlives the terminal, run it in tmux or as a
service.

${MASTER_HELP}
  --for TIME      how long, such as 10m or 2h; required
  --reason TEXT   shown to people as part of the holder; required
  --timeout TIME  how long to wait for the present holder; default 10m
  --json          write JSON when the hold begins

  bullmq-redlock hold account:42 --for 10m --reason "ledger migration"

Exit code: 0 the hold has ended; 1 it did not begin in time, or ended early: it was
released by an operator, or was lost; 2 wrong command line or rules file; 3 too few
masters answered.`,
  async run(invocation) {
    const { options, out, notes } = invocation;
    const key = readKey("hold", invocation);
    const { reason, for: time } = options;
    if (time === undefined || reason === undefined || reason.trim() === "") {
      throw new UsageError('hold takes --for and --reason, as in: --for 10m --reason "migration"');
    }
    const length = readTime("--for", time, LENGTH);
    const waitTimeout = readTimeout(options.timeout, WAIT);
    const masters = await readMasters(invocation);
    const stop = new AbortController();
    for (const signal of SIGNALS) process.once(signal, () => stop.abort());
    return await withRedlock(masters, async (redlock) => {
      const name = printable(key);
      redlock.on("conflict", ({ holder }) => {
        notes.say(`${name} is held by ${holderName(holder)}; the hold begins when it is released`);
      });
      let lock: Lock;
      try {
        lock = await redlock.hold(key, reason, { waitTimeout, signal: stop.signal });
      } catch (error) {
        if (!stop.signal.aborted && !(error instanceof LockConflictError)) throw error;
        notes.say(`${name} is not on hold: ${stop.signal.aborted ? "stopped" : messageOf(error)}`);
        return EXIT.finding;
      }
      const until = Date.now() + length;
      const { fencingToken } = lock;
      if (options.json === true) out.json({ key, until, fencingToken, reason });
      else {
        out.say(
          `${name} is on hold for ${duration(length)}, until ${moment(until)}`,
          `Ctrl-C ends the hold, or: bullmq-redlock release ${shellWord(key)}`,
        );
      }
      return await keep(lock, length, stop.signal, (text) => notes.say(`${name}: ${text}`));
    });
  },
};

/** Keeps the lock for `length` ms, or until it is to stop or is lost. */
async function keep(
  lock: Lock,
  length: number,
  stop: AbortSignal,
  note: (text: string) => void,
): Promise<ExitCode> {
  const over = AbortSignal.any([stop, lock.signal]);
  await sleep(length, undefined, { signal: over }).catch(() => undefined);
  const outcome = await lock.release();
  if (lock.signal.aborted) {
    note(`the hold has ended early: ${messageOf(lock.signal.reason)}`);
    return EXIT.finding;
  }
  note(outcome === "released" ? "the hold has ended" : "the hold ends when its lock expires");
  return EXIT.ok;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? printable(error.message) : String(error);
}
