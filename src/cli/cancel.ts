import { setTimeout as sleep } from "node:timers/promises";
import type { Holder } from "../errors.ts";
import { isHold } from "../redlock/hold.ts";
import { requireVotes } from "../redlock/inspect.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { readReason, readSlot } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { readingWith } from "./connect.ts";
import { headline, holderName } from "../describe/describe-key.ts";
import { summarise } from "../describe/summary.ts";
import { duration, operator, shellWord } from "../describe/words.ts";

/** Milliseconds between two checks whether the holders have stopped. */
const CHECK_INTERVAL = 100;

export async function cancel(invocation: Invocation): Promise<ExitCode> {
  const { operand: key, options, out } = invocation;
  const by = operator(options.reason === undefined ? undefined : readReason(options.reason));
  const slot = readSlot(options.slot);
  return await readingWith(invocation, async (redlock) => {
    const inspection = await redlock.inspect(key);
    const { holders: all, locked } = inspection;
    const holders = all.filter((holder) => slot === undefined || slot === (holder.slot ?? 0));
    const asked = await redlock.cancel(key, by, { slot });
    const running = await stillRunning(redlock, key, holders, invocation);
    const stopped = running.length === 0;
    if (options.json === true) {
      const areAsked = holders.length > 0 && asked.length === holders.length;
      out.json({ key, holders, asked: areAsked, stopped, running });
    } else if (holders.length === 0) {
      out.print(
        slot === undefined
          ? headline(summarise(inspection, Date.now()))
          : `No client holds slot ${slot}.`,
      );
    } else {
      for (const holder of holders) out.print(describe(key, holder, running, invocation.timeout));
    }
    const isBlocked = all.length === 0 && locked;
    return stopped && !isBlocked ? EXIT.ok : EXIT.finding;
  });
}

function describe(
  key: string,
  holder: Holder,
  running: readonly Holder[],
  patience: number,
): string {
  const name = holderName(holder);
  if (!running.includes(holder))
    return `${name} no longer holds the key: it stopped or had finished`;
  if (isHold(holder)) {
    return `${name} cannot be asked; this ends the hold: bullmq-redlock release ${shellWord(key)}`;
  }
  if (holder.fencingToken === undefined) {
    return `${name} does not use this library, and cannot be asked`;
  }
  if (!canStop(holder)) {
    return `${name} is no job, and only a job stops when it is asked; this removes the lock: bullmq-redlock release ${shellWord(key)} --force`;
  }
  return `${name} was asked, and still runs after ${duration(patience)}: it ignores its signal, or its onConflict is not cancelInProgress, see --help`;
}

/** Whether a request may stop a holder. The name of a job that is very long is not known: such a job is asked, and not waited for. */
function canStop({ job }: Holder): boolean {
  return job !== undefined;
}

/** The holders that have not stopped in time. */
async function stillRunning(
  redlock: Redlock,
  key: string,
  holders: readonly Holder[],
  { timeout, nodeTimeout }: Pick<Invocation, "timeout" | "nodeTimeout">,
): Promise<Holder[]> {
  const until = performance.now() + timeout;
  for (let running = [...holders]; ;) {
    if (!running.some(canStop)) return running;
    const inspection = await redlock.inspect(key);
    requireVotes(inspection, nodeTimeout);
    const { holders: now } = inspection;
    running = running.filter((holder) => now.some((other) => isSame(holder, other)));
    if (running.length === 0 || performance.now() >= until) return running;
    await sleep(CHECK_INTERVAL);
  }
}

function isSame(one: Holder, other: Holder): boolean {
  return one.fencingToken === other.fencingToken && one.slot === other.slot;
}
