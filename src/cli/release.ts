import { setTimeout as sleep } from "node:timers/promises";
import { headline, holderName } from "../describe/describe-key.ts";
import { type KeySummary, summarise } from "../describe/summary.ts";
import { duration, operator } from "../describe/words.ts";
import type { Holder } from "../errors.ts";
import { printable } from "../printable.ts";
import { isHold } from "../redlock/hold.ts";
import { type KeyInspection, requireVotes } from "../redlock/inspect.ts";
import { nodesOf } from "../redlock/inspect-slots.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { readReason, readSlot } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { readingWith } from "./connect.ts";

/** Milliseconds between two checks. */
const CHECK_INTERVAL = 250;

export async function release(invocation: Invocation): Promise<ExitCode> {
  const { operand: key, options, timeout, out } = invocation;
  const { reason, force = false, json = false, "dry-run": isDry = false } = options;
  if (force) readReason(reason, 'as in: --force --reason "worker-3 hangs"');
  const slot = readSlot(options.slot);
  const print = (...lines: string[]): void => {
    if (!json) out.print(...lines);
  };
  const report = (result: Report, code: ExitCode): ExitCode => {
    if (json) out.json({ key, ...result, dryRun: isDry });
    return code;
  };
  const withoutRemoval = (known: Report): ExitCode => {
    const takes = "Nothing was removed: that takes --force and --reason TEXT.";
    print(isDry ? "Dry run: nothing was removed." : takes);
    return report(known, isDry ? EXIT.ok : EXIT.finding);
  };
  return await readingWith(invocation, async (redlock) => {
    const inspection = await redlock.inspect(key);
    const { holders, waiting } = inspection;
    const holder =
      slot === undefined
        ? (holders.find(isHold) ?? inspection.holder)
        : holders.find((each) => (each.slot ?? 0) === slot);
    requireVotes(inspection, invocation.nodeTimeout);
    const now = summarise(inspection, Date.now());
    const found = { holder, waiting, hold: isHold(holder), alive: undefined, removed: false };
    print(headline(now));
    if (!inspection.locked && holders.length === 0) {
      if (inspection.reserved?.forRetry !== true) return report(found, EXIT.ok);
      if (isDry || !force) return withoutRemoval(found);
      const result = await redlock.forceRelease(key, { reason: operator(reason) });
      const removed = result.outcome === "released";
      if (removed) print("The key is not kept any longer.", successorOf(result.waiting));
      return report({ ...found, waiting: result.waiting, removed }, EXIT.ok);
    }
    if (slot !== undefined && isFree(inspection, slot)) {
      print(`No client holds slot ${slot}.`);
      return report(found, EXIT.ok);
    }
    if (holder?.fencingToken === undefined) {
      print(whyNot(now));
      return report(found, EXIT.finding);
    }
    if (holder.slot !== undefined) print(`Slot ${holder.slot}: ${holderName(holder)}`);
    if (slot === undefined && holders.length > 1) {
      print(`It is one of ${holders.length} holders; --slot N chooses another.`);
    }
    const isIdle = found.hold || holder.kept === true;
    const watched = isIdle ? undefined : await watch(redlock, inspection, holder, timeout);
    if (watched?.sign === "gone") {
      print("The holder has released it, or its lock has expired, in the meantime.");
      return report(found, EXIT.ok);
    }
    const summary = watched && summarise(watched.last, Date.now());
    const lock = summary?.holders.find((each) => each.holder.fencingToken === holder.fencingToken);
    const alive = watched && isAlive(watched, lock?.remaining ?? 0, timeout);
    const known = { ...found, alive };
    if (summary === undefined) {
      if (holder.kept) print("The job is done: nothing runs twice, but minHold is cut short.");
    } else print(...consequences({ holder, alive, lock }, summary, timeout));
    if (isDry || !(force || found.hold)) return withoutRemoval(known);
    const { fencingToken } = holder;
    const why = operator(reason ?? "ends the hold");
    const result = await redlock.forceRelease(key, { reason: why, fencingToken });
    const removed = result.outcome === "released";
    if (removed) print(`Removed, for the reason: ${printable(why)}`, successorOf(result.waiting));
    else print("Nothing was removed: this holder no longer has the key.");
    return report({ ...known, waiting: result.waiting, removed }, EXIT.ok);
  });
}

/** What `--json` writes beside the key. */
type Report = Pick<KeySummary, "holder" | "waiting"> & {
  /** Whether the holder is an operator that pauses the key. */
  readonly hold: boolean;
  /** Whether the holder has extended its lock; `undefined` when by the default heartbeat it need not have done so in that time. */
  readonly alive: boolean | undefined;
  readonly removed: boolean;
};

interface Watched {
  readonly sign: "extends" | "silent" | "gone";
  /** At the end. */
  readonly last: KeyInspection;
}

/** Whether no master reports a holder in that slot. */
function isFree({ nodes, slots }: KeyInspection, slot: number): boolean {
  const whole = slot === 0 && slots === undefined ? nodes : [];
  const known = slots?.find((each) => each.slot === slot)?.nodes ?? whole;
  return known.every(({ state }) => state !== "held" && state !== "foreign");
}

function whyNot({ state, quorum }: KeySummary): string {
  if (state === "unclear") {
    return `Nothing was removed: no ${quorum} masters name the same holder. Ask again in a moment.`;
  }
  return "Nothing was removed: this library has not stored that value, and removes no value of another program.";
}

/**
 * By default a lock is extended after a third of its ttl. A live holder that was not extended for P has then more than 2 P left: with
 * less, an extend is overdue; with more, nothing is known.
 */
function isAlive({ sign }: Watched, remaining: number, patience: number): boolean | undefined {
  if (sign === "extends") return true;
  return remaining > 2 * patience ? undefined : false;
}

interface Observed {
  readonly holder: Holder;
  readonly alive: boolean | undefined;
  readonly lock: KeySummary["holders"][number] | undefined;
}

function consequences(
  { holder, alive, lock }: Observed,
  { waiters }: KeySummary,
  patience: number,
): string[] {
  const { job, remaining = 0 } = lock ?? {};
  const guess =
    alive === undefined
      ? ", too short a time to tell: a longer --timeout tells more"
      : ": its process may be dead, suspended or cut off";
  const life = alive
    ? "The holder is alive: it has extended its lock just now."
    : `The holder has not extended its lock for ${duration(patience)}${guess}. Without an extend, the key is free by itself within ${duration(remaining)}.`;
  const process = job === undefined ? "" : ` (process ${job.pid} on ${printable(job.host)})`;
  const [first] = waiters;
  const successor = first?.job === undefined ? "the next client" : `job ${printable(first.job)}`;
  return [
    life,
    `Without its lock, ${holderName(holder)}${process} works on until its next heartbeat, or longer if it ignores its signal.`,
    `Until then ${successor} works on the same key beside it: WORK MAY RUN TWICE.`,
  ];
}

function successorOf(waiting: number): string {
  if (waiting === 0) return "The key is free.";
  return waiting === 1
    ? "Its waiter is told to start."
    : `The first of its ${waiting} waiters is told to start.`;
}

/** Watches whether the holder extends its lock: then it expires later, on some master, than it did at the last check. */
async function watch(
  redlock: Redlock,
  first: KeyInspection,
  holder: Holder,
  patience: number,
): Promise<Watched> {
  const until = performance.now() + patience;
  for (let last = first; ;) {
    await sleep(CHECK_INTERVAL);
    const inspection = await redlock.inspect(first.key);
    const { fencingToken } = holder;
    if (!inspection.holders.some((each) => each.fencingToken === fencingToken)) {
      return { sign: "gone", last: inspection };
    }
    const before = nodesOf(last, holder);
    const isLater = nodesOf(inspection, holder).some(
      (node, index) =>
        node.holder?.fencingToken === fencingToken &&
        (node.expiresIn ?? 0) > (before[index]?.expiresIn ?? Infinity),
    );
    if (isLater) return { sign: "extends", last: inspection };
    if (performance.now() >= until) return { sign: "silent", last: inspection };
    last = inspection;
  }
}
