import { count } from "../sentences.ts";
import { type Finding, type FindingCode, FINDINGS } from "../ready/findings.ts";
import { nearest } from "../nearest.ts";
import { printable } from "../printable.ts";
import type { ReadyOptions } from "../ready/ready.ts";
import { NotReadyError, type NodeReport, type ReadyReport } from "../ready/report.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { UsageError } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { armingWith } from "./connect.ts";
import { type Screen, titledTable, wrap } from "./screen.ts";
import { quorumIn } from "../describe/summary.ts";
import { duration, list } from "../describe/words.ts";

export async function doctor(invocation: Invocation): Promise<ExitCode> {
  const { options, timeout, out } = invocation;
  const { queue, ignore = [], json } = options;
  const ignored = ignore.map(readCode);
  return await armingWith(invocation, async (redlock) => {
    const report = await examine(redlock, queue === undefined ? { timeout } : { timeout, queue });
    const findings = report.findings.filter(({ code }) => !ignored.includes(code));
    if (json === true) out.json({ ...report, findings });
    else show({ ...report, findings }, report.findings.length - findings.length, out);
    return exitCodeOf(report, findings);
  });
}

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
  // --ignore accepts findings; it does not bring a quorum.
  if (nodes.filter(({ votes }) => votes).length < quorum) return EXIT.noQuorum;
  return findings.length > 0 ? EXIT.finding : EXIT.ok;
}

function show({ nodes, findings, quorum }: ReadyReport, ignored: number, out: Screen): void {
  const able = nodes.filter(({ eligible }) => eligible).length;
  const voting = nodes.filter(({ votes }) => votes).length;
  const hasQuorum = voting >= quorum;
  const headline = hasQuorum
    ? `${able} of ${count(nodes.length, "master")} can vote${voting < able ? `, ${voting} of them now` : ""}; a lock needs ${quorum}`
    : `NO LOCKS: ${voting} of ${count(nodes.length, "master")} can vote${voting < able ? " now" : ""}, a lock needs ${quorum}${untilQuorum(nodes, quorum)}`;
  const style = hasQuorum ? (findings.length > 0 ? "yellow" : "green") : "red";
  out.print(out.paint("bold", out.paint(style, headline)), "");
  const masters = titledTable(out, [
    ["MASTER", "SERVER", "UP FOR", "ROUND TRIP", "CLOCK", "VOTES"],
    ...nodes.map(rowOf),
  ]);
  out.print(...masters);
  const groups = grouped(findings);
  for (const finding of groups) out.print("", ...linesOf(finding, out));
  const more = ignored > 0 ? `, ${ignored} ignored` : "";
  out.print("", `${groups.length === 0 ? "no findings" : count(groups.length, "finding")}${more}`);
}

function untilQuorum(nodes: readonly NodeReport[], quorum: number): string {
  const waits = nodes.map(({ eligible, votes, quarantine = Infinity }) =>
    !eligible ? Infinity : votes ? 0 : quarantine,
  );
  const wait = quorumIn(waits, quorum);
  return wait === undefined ? "" : `; available again in ${duration(wait)}`;
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

/** Joins findings that differ only in their master. */
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
