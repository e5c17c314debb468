import { setTimeout as sleep } from "node:timers/promises";
import { LONGEST_TIMER } from "../clock.ts";
import { holderName } from "../describe/describe-key.ts";
import { duration, moment, shellWord } from "../describe/words.ts";
import { LockConflictError } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import { printable } from "../printable.ts";
import { reasonOfRemoval } from "../redlock/force-release.ts";
import { engineOf, type Redlock } from "../redlock/redlock.ts";
import { messageOf } from "../sentences.ts";
import { readReason, readTime, UsageError } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { armingWith } from "./connect.ts";
import { failureToJson } from "./failure.ts";

/** Bounds of `--for`, in ms. */
const LENGTH = { min: 1_000, max: LONGEST_TIMER };

const EXAMPLE = 'as in: --for 10m --reason "migration"';

/** Ctrl-C, the end of a service, and the end of a terminal. */
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export async function hold(invocation: Invocation): Promise<ExitCode> {
  const { operand: key, options, timeout: waitTimeout, out, notes } = invocation;
  const { for: time } = options;
  if (time === undefined) {
    throw new UsageError(`--for: found nothing, expected a time, ${EXAMPLE}`);
  }
  const reason = readReason(options.reason, EXAMPLE);
  const length = readTime("--for", time, LENGTH);
  const stop = new AbortController();
  for (const signal of SIGNALS) process.once(signal, () => stop.abort());
  const run = async (redlock: Redlock): Promise<ExitCode> => {
    const name = printable(key);
    redlock.on("conflict", ({ holder, reserved }) => {
      const state = reserved ? "reserved for a waiter" : `held by ${holderName(holder)}`;
      notes.print(`${name} is ${state}; the hold begins when it is released`);
    });
    let lock: Lock;
    try {
      lock = await redlock.hold(key, reason, { waitTimeout, signal: stop.signal });
    } catch (error) {
      if (!stop.signal.aborted && !(error instanceof LockConflictError)) throw error;
      const message = stop.signal.aborted ? "stopped" : messageOf(error);
      if (options.json === true) {
        out.json({ error: { ...failureToJson(error), exitCode: EXIT.finding, message } });
      }
      notes.print(`${name} is not on hold: ${printable(message)}`);
      return EXIT.finding;
    }
    const until = Date.now() + length;
    const { fencingToken } = lock;
    if (options.json === true) out.json({ key, until, fencingToken, reason });
    else {
      out.print(
        `${name} is on hold for ${duration(length)}, until ${moment(until)}`,
        `Ctrl-C ends the hold, or: bullmq-redlock release ${shellWord(key)}`,
      );
    }
    return await keep(redlock, lock, length, stop.signal, (text) => {
      notes.print(`${name}: ${text}`);
    });
  };
  return await armingWith(invocation, run, key);
}

/** Keeps the lock for `length` ms, or until it is to stop or is lost. */
async function keep(
  redlock: Redlock,
  lock: Lock,
  length: number,
  stop: AbortSignal,
  note: (text: string) => void,
): Promise<ExitCode> {
  const over = AbortSignal.any([stop, lock.signal]);
  await sleep(length, undefined, { signal: over }).catch(() => undefined);
  const outcome = await lock.release();
  if (lock.signal.aborted) {
    const removal = await reasonOfRemoval(engineOf(redlock), lock);
    const why =
      removal === undefined ? messageOf(lock.signal.reason) : `ended by force (${removal})`;
    note(`the hold has ended early: ${printable(why)}`);
    return EXIT.finding;
  }
  note(outcome === "released" ? "the hold has ended" : "the hold ends when its lock expires");
  return EXIT.ok;
}
