import { styleText } from "node:util";
import { auditBank } from "./bank.ts";
import type { InputFile } from "./input-file.ts";
import type { Failure } from "./ledger.ts";
import { type LockSource, LOCKED } from "./messages.ts";
import type { Progress } from "./progress.ts";
import {
  count,
  describeWaits,
  drawTable,
  listFailures,
  type Seen,
  shorten,
  wrap,
} from "./report.ts";
import { runRound } from "./round.ts";
import type { Stage } from "./stage.ts";

const LONGEST_KEY = 50;

/** Runs the jobs of a file with the lock. Returns the exit code. */
export async function showFile(
  file: InputFile,
  { lock, queue, job }: { lock: LockSource; queue: string; job: string },
  stage: Stage,
  progress: Progress,
): Promise<number> {
  const what =
    "key" in lock
      ? `${atATime(lock)} for each ${lock.key}`
      : `jobs named ${job} in the queue ${queue}, by the rules of ${lock.rules}`;
  progress.say(`\n${wrap(what, 0)}\n`);
  const result = await runRound(
    { queue, name: job, title: "with the lock", jobs: file.jobs() },
    stage,
    progress,
  );
  const seen = { result, audit: await auditBank(stage.urls.queue, LOCKED) };
  const failures = [...result.ledger.failures.values()].sort(
    (a, b) => b.jobs.length - a.jobs.length,
  );
  const refused = failures.filter(({ code }) => code === "ERR_REDLOCK_KEY");
  const broken = failures.filter(({ code }) => code !== "ERR_REDLOCK_KEY");
  const isRight = file.bad.count === 0 && broken.length === 0 && isExclusive(seen.audit);
  const counts = [jobsOf(refused), jobsOf(broken), file.bad.count] as const;
  const conclusion = conclude(seen, counts, atATime(lock));
  const paragraphs = [
    drawTable(["with the lock"], [seen], "key"),
    describeKeys(seen),
    describeOthers(seen),
    describeRefused(refused),
    broken.length === 0 ? "" : `  Failed:\n${listFailures(broken)}`,
    describeBad(file),
    styleText(isRight ? "green" : "red", conclusion),
  ];
  progress.say(`\n${paragraphs.filter((each) => each !== "").join("\n\n")}`);
  return isRight ? 0 : 1;
}

function describeKeys({ result, audit }: Seen): string {
  if (audit.accounts === 0) return "";
  const { account, deposits } = audit.busiest;
  const busiest = `the busiest has ${count(deposits, "job")}: ${shorten(account, LONGEST_KEY)}`;
  return [`${count(audit.accounts, "key")}; ${busiest}`, ...describeWaits(result, "key")]
    .map((fact) => wrap(fact, 4, "  - "))
    .join("\n");
}

function describeOthers({ result: { ledger } }: Seen): string {
  const { skipped, unlocked } = ledger;
  const facts = [
    ...(skipped > 0
      ? [`${count(skipped, "job")} skipped, as the rule says: another job held the key`]
      : []),
    ...(unlocked > 0 ? [`${count(unlocked, "job")} ran without a lock, as the rule says`] : []),
  ];
  return facts.map((fact) => wrap(fact, 4, "  - ")).join("\n");
}

function describeRefused(refused: readonly Failure[]): string {
  if (refused.length === 0) return "";
  const text =
    `${count(jobsOf(refused), "job")} refused, because no key can be made from the data (LockKeyError). ` +
    `A job without a key never runs unlocked: in BullMQ it has failed for good (UnrecoverableError).`;
  return `${wrap(text, 2)}\n${listFailures(refused)}`;
}

function describeBad({ bad }: InputFile): string {
  if (bad.count === 0) return "";
  const shown = bad.first.map(({ line, reason }) => wrap(`line ${line}: ${reason}`, 4));
  const rest = bad.count - shown.length;
  return [
    `  ${count(bad.count, "line")} left out, not JSON:`,
    ...shown,
    ...(rest > 0 ? [`    and ${rest} more`] : []),
  ].join("\n");
}

function conclude(
  { result, audit }: Seen,
  [refused, broken, bad]: readonly [refused: number, broken: number, bad: number],
  promise: string,
): string {
  const { completed, skipped, unlocked } = result.ledger;
  const parts = [
    `${completed - skipped} done${unlocked > 0 ? ` (${unlocked} without a lock)` : ""}`,
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
    ...(refused > 0 ? [`${refused} refused`] : []),
    ...(broken > 0 ? [`${broken} failed`] : []),
    ...(bad > 0 ? [`${count(bad, "line")} not JSON`] : []),
  ];
  const verdict = audit.accounts === 0 ? "no key" : isExclusive(audit) ? "yes" : "NO";
  return `${parts.join(", ")}; ${promise} per key: ${verdict}`;
}

function atATime(lock: LockSource): string {
  return "rules" in lock || lock.limit === 1 ? "one job at a time" : `${lock.limit} jobs at a time`;
}

function isExclusive({ peakOfOne, lost }: Seen["audit"]): boolean {
  return peakOfOne <= 1 && lost === 0;
}

function jobsOf(failures: readonly Failure[]): number {
  return failures.reduce((sum, { jobs }) => sum + jobs.length, 0);
}
