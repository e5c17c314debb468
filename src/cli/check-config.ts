import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { buffer as readStream } from "node:stream/consumers";
import type { ExplainedJob, Explanation } from "../config/explain.ts";
import { createLocks } from "../config/locks.ts";
import { describeProblem } from "../config/problem.ts";
import { asList, type Rule, type RuleMatch } from "../config/rule.ts";
import { findFile, readRules, readRulesFile, type RulesFile } from "../config/rules-file.ts";
import { count, describeValue, messageOf } from "../sentences.ts";
import { parse } from "../keys/template-parser.ts";
import { printable, printableLines } from "../printable.ts";
import { UsageError } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { type Screen, table, titledTable } from "./screen.ts";
import { duration } from "../describe/words.ts";

/** The operand, or `--job`, for standard input. */
const STDIN = "-";

export async function checkConfig(invocation: Invocation): Promise<ExitCode> {
  const { operand, options, out, environment } = invocation;
  const path = operand === "" ? (options.config ?? (await findFile(process.cwd()))) : operand;
  if (path === undefined) {
    throw new UsageError(
      "no rules file given: found no bullmq-redlock.yaml in this folder or above",
    );
  }
  if (path === STDIN && options.job === STDIN) {
    throw new UsageError("--job -: found - twice, expected a file for the job, or for the rules");
  }
  const job = options.job === undefined ? undefined : await readJob(options.job);
  const rules = await (path === STDIN
    ? readRules(await readStream(process.stdin), "<stdin>", environment)
    : readRulesFile(resolve(path), environment));
  if (rules.problems.length > 0) return reportProblems(rules, invocation);
  await using locks = createLocks(rules.masters, rules.rules);
  // `doctor` reports what warnings report.
  locks.redlock.on("warning", () => undefined);
  const explanation = job && locks.explain(job);
  if (options.json === true) out.json(toJson(rules, explanation));
  else {
    showRules(rules, out);
    if (explanation !== undefined) showJob(explanation, rules, out);
  }
  return explanation?.error === undefined ? EXIT.ok : EXIT.finding;
}

function reportProblems({ file, problems }: RulesFile, { out, options }: Invocation): ExitCode {
  if (options.json === true) out.json({ file, problems });
  else {
    for (const each of problems) out.print(printableLines(describeProblem(each)), "");
    out.print(out.paint("red", `${file}: ${count(problems.length, "problem")}`));
  }
  return EXIT.finding;
}

function showRules({ file, rules, masters, lineOf }: RulesFile, out: Screen): void {
  const nodes = masters.nodes?.length ?? 0;
  out.print(
    out.paint(
      "green",
      `${file}: ${count(rules.length, "rule")}, ${count(nodes, "master")}, no problems`,
    ),
    "",
  );
  const hasConditions = rules.some(({ written }) => conditionsOf(written) !== "");
  const rows = titledTable(out, [
    ["RULE", "LINE", "QUEUE", "JOB", ...(hasConditions ? ["ONLY"] : []), "KEY"],
    ...rules.map(({ index, written, key }) => [
      `rules[${index}]`,
      String(lineOf(index)),
      printable(listOf(written.queue)),
      printable(listOf(written.job)),
      ...(hasConditions ? [printable(conditionsOf(written))] : []),
      key === null ? "none: no lock" : printable(listOf(key)),
    ]),
  ]);
  out.print(...rows);
  const constant = rules.flatMap((rule) => {
    const [key] = constantKeysOf(rule);
    return key === undefined
      ? []
      : [`rules[${rule.index}] has one key for all jobs of ${jobsOf(rule)}: ${key}`];
  });
  if (constant.length > 0) out.print("", ...constant.map(printable));
}

function listOf(texts: string | readonly string[] = "*"): string {
  return asList(texts).join(", ");
}

function conditionsOf({ when = {}, unless = {} }: RuleMatch): string {
  const all = [
    ...Object.entries(when),
    ...Object.entries(unless).map(([path, values]) => [`not ${path}`, values] as const),
  ];
  return all
    .map(([path, values]) => `${path}: ${asList(values).map(String).join(", ")}`)
    .join("; ");
}

function constantKeysOf({ key }: Rule): readonly string[] {
  return asList(key).filter(
    (text) => text !== null && parse(text).placeholders.length === 0,
  ) as string[];
}

function jobsOf({ written: { queue = "*", job = "*" } }: Rule): string {
  const queues = queue === "*" ? "every queue" : `the queue ${listOf(queue)}`;
  return job === "*" ? queues : `${queues} with the name ${listOf(job)}`;
}

function showJob(
  { outcome, rule, keys, error, options }: Explanation,
  { file, lineOf }: RulesFile,
  out: Screen,
): void {
  const where = rule === undefined ? "" : ` by rules[${rule}] (${file}:${lineOf(rule)})`;
  if (outcome === "no-lock") out.print("", `The job runs without a lock${where}.`);
  else if (error !== undefined) {
    out.print(
      "",
      out.paint("red", `The job is refused${where}, and fails for good:`),
      `  ${printable(error.message)}`,
    );
  } else {
    out.print(
      "",
      `The job locks ${keys.length === 1 ? "" : `all of ${keys.length} keys, or none, `}${where.trim()}:`,
    );
    out.print(...keys.map((key) => `  ${out.paint("bold", printable(key))}`), "", "with");
    out.print(...table(Object.entries(options).map(([name, value]) => [name, show(name, value)])));
  }
}

/** Formats an option. All numbers are durations, but the limit. */
function show(name: string, value: unknown): string {
  return typeof value === "number" && name !== "limit" ? duration(value) : String(value);
}

function toJson({ file, rules, lineOf }: RulesFile, explanation: Explanation | undefined) {
  return {
    file,
    problems: [],
    rules: rules.map((rule) => ({
      line: lineOf(rule.index),
      queue: "*",
      job: "*",
      ...rule.written,
      key: rule.key,
      isOneForAll: constantKeysOf(rule).length > 0,
      ...rule.options,
    })),
    job: explanation && { ...explanation, error: explanation.error?.message },
  };
}

/** Reads a job from a file, or the standard input. @throws {UsageError} */
async function readJob(path: string): Promise<ExplainedJob> {
  let job: unknown;
  try {
    const bytes = await (path === STDIN ? readStream(process.stdin) : readFile(path));
    job = JSON.parse(bytes.toString());
  } catch (error) {
    throw new UsageError(`--job ${path}: ${messageOf(error)}`);
  }
  const found = wrongPartOf(job);
  if (found === undefined) return job as ExplainedJob;
  throw new UsageError(
    `--job ${path}: found ${found}, expected { "queueName": "invoices", "name": "charge", "data": {...} }, with "id" and "opts" where keys need them`,
  );
}

const KNOWN_IN_JOB = Object.keys({
  queueName: true,
  name: true,
  data: true,
  id: true,
  opts: true,
} satisfies { [N in keyof ExplainedJob]-?: true });

function wrongPartOf(job: unknown): string | undefined {
  if (typeof job !== "object" || job === null || Array.isArray(job)) return describeValue(job);
  for (const name of ["queueName", "name"]) {
    const value: unknown = Object.hasOwn(job, name) ? job[name as keyof typeof job] : undefined;
    if (typeof value !== "string" || value === "") return `${describeValue(value)} as its ${name}`;
  }
  const other = Object.keys(job).find((name) => !KNOWN_IN_JOB.includes(name));
  return other === undefined ? undefined : `an unknown field ${describeValue(other)}`;
}
