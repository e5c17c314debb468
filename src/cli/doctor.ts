import { type FindingCode, FINDINGS } from "../ready/findings.ts";
import { nearest } from "../nearest.ts";
import type { ReadyOptions } from "../ready/ready.ts";
import { type Finding, NotReadyError, type NodeReport, type ReadyReport } from "../ready/report.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { readTimeout } from "./arguments.ts";
import type { Command } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readMasters, withRedlock } from "./connect.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { type Screen, table, wrap } from "./screen.ts";
import { quorumIn } from "./summary.ts";
import { UsageError } from "./usage-error.ts";
import { printable } from "../printable.ts";
import { count, duration, list } from "./words.ts";

const PATIENCE = { min: 2_000, max: 60_000, otherwise: 5_000 };

export const doctor: Command = {
  summary: "whether the masters are fit for locks, and what to do",
  takes: [...MASTER_OPTIONS, "queue", "ignore"],
  help: `Usage: bullmq-redlock doctor [options]

Examines every lock master: whether it can vote, and whether anything about it
makes locks weaker or slower than they should be. Takes somewhat more than a
second. Leaves nothing on the masters but their guards, as any client does.

${MASTER_HELP}
  --queue URL     the queue's own Redis, which should not be a lock master
  --ignore CODE   a finding that is known and accepted, once for each
  --timeout TIME  how long all of it may take; default 5s
  --json          for programs; durations are milliseconds

  bullmq-redlock doctor --ignore persistence

Exit code: 0 nothing found; 1 something found; 2 a mistake in the command or the
file; 3 too few masters can vote now: nobody gets a lock. docs/ready.md has all findings.`,
  async run(call) {
    if (call.operands.length > 0) throw new UsageError("doctor takes options only");
    const { queue, ignore = [], json } = call.options;
    const ignored = ignore.map(readCode);
    const timeout = readTimeout(call.options.timeout, PATIENCE);
    const masters = await readMasters(call);
    return await withRedlock(masters, async (redlock) => {
      const report = await examine(redlock, queue === undefined ? { timeout } : { timeout, queue });
      const findings = report.findings.filter(({ code }) => !ignored.includes(code));
      if (json === true) call.out.json({ ...report, findings });
      else show({ ...report, findings }, report.findings.length - findings.length, call.out);
      return exitCodeOf(report, findings);
    });
  },
};

function readCode(text: string): FindingCode {
  const codes = Object.keys(FINDINGS);
  if (codes.includes(text)) return text as FindingCode;
  const meant = nearest(text, codes);
  throw new UsageError(
    `--ignore: found "${text}", expected ${meant === undefined ? `one of ${codes.join(", ")}` : `"${meant}"?`}`,
  );
}

async function examine(redlock: Redlock, options: ReadyOptions): Promise<ReadyReport> {
  try {
    return await redlock.ready(options);
  } catch (error) {
    if (error instanceof NotReadyError) return error.report;
    throw error;
  }
}

function exitCodeOf({ nodes, quorum }: ReadyReport, findings: readonly Finding[]): ExitCode {
  // Whatever is ignored, without a quorum there are no locks.
  if (nodes.filter(({ votes }) => votes).length < quorum) return EXIT.noQuorum;
  return findings.length > 0 ? EXIT.finding : EXIT.ok;
}

function show({ nodes, findings, quorum }: ReadyReport, ignored: number, out: Screen): void {
  const able = nodes.filter(({ eligible }) => eligible).length;
  const voting = nodes.filter(({ votes }) => votes).length;
  const hasQuorum = voting >= quorum;
  const headline = hasQuorum
    ? `${able} of ${nodes.length} masters can vote${voting < able ? `, ${voting} of them now` : ""}; a lock needs ${quorum}`
    : `NO LOCKS: ${voting} of ${nodes.length} masters can vote${voting < able ? " now" : ""}, a lock needs ${quorum}${goesOn(nodes, quorum)}`;
  const style = hasQuorum ? (findings.length > 0 ? "yellow" : "green") : "red";
  out.say(out.paint("bold", out.paint(style, headline)), "");
  const [heading = "", ...lines] = table([
    ["MASTER", "SERVER", "UP FOR", "ROUND TRIP", "CLOCK", "VOTES"],
    ...nodes.map(rowOf),
  ]);
  out.say(out.paint("dim", heading), ...lines);
  const groups = grouped(findings);
  for (const finding of groups) out.say("", ...linesOf(finding, out));
  const more = ignored > 0 ? `, ${ignored} ignored` : "";
  out.say("", `${groups.length === 0 ? "nothing found" : count(groups.length, "finding")}${more}`);
}

/** When so many votes are out of quarantine that there is a quorum. */
function goesOn(nodes: readonly NodeReport[], quorum: number): string {
  const waits = nodes.map(({ eligible, votes, quarantine = Infinity }) =>
    !eligible ? Infinity : votes ? 0 : quarantine,
  );
  const wait = quorumIn(waits, quorum);
  return wait === undefined ? "" : `; it goes on by itself in ${duration(wait)}`;
}

function rowOf({
  node,
  server,
  uptime,
  roundTrip,
  clockOffset,
  eligible,
  votes: isVoting,
  quarantine,
}: NodeReport): string[] {
  const isWaiting = eligible && quarantine !== undefined;
  const votes = isVoting ? "yes" : isWaiting ? `in ${duration(quarantine)}` : "no";
  return [
    node,
    server === undefined ? "-" : printable(server),
    uptime === undefined ? "-" : duration(uptime),
    roundTrip === undefined ? "-" : `${roundTrip.toFixed(1)} ms`,
    clockOffset === undefined
      ? "-"
      : `${clockOffset < 0 ? "-" : "+"}${duration(Math.abs(clockOffset))}`,
    votes,
  ];
}

interface Grouped extends Finding {
  readonly nodes: readonly string[];
}

/** The same finding about several masters is told once. */
function grouped(findings: readonly Finding[]): Grouped[] {
  const groups = new Map<string, Finding & { nodes: string[] }>();
  for (const finding of findings) {
    const name = JSON.stringify([finding.code, finding.severity, finding.found]);
    const group = groups.get(name) ?? { ...finding, nodes: [] };
    if (finding.node !== undefined) group.nodes.push(finding.node);
    groups.set(name, group);
  }
  return [...groups.values()];
}

function linesOf({ code, severity, nodes, found, why, advice }: Grouped, out: Screen): string[] {
  const label = severity === "fatal" ? out.paint("red", "FATAL") : out.paint("yellow", "WARNING");
  const where = nodes.length === 0 ? "" : ` (${list(nodes)})`;
  return [
    `${label} ${out.paint("bold", code)}${where}: ${printable(found)}`,
    ...wrap(`Why it matters: ${why}`, "  "),
    ...wrap(`What to do: ${advice}`, "  "),
  ];
}
