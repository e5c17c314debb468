import { count } from "../sentences.ts";
import { printable } from "../printable.ts";
import { unavailability, type WaiterInspection } from "../redlock/inspect.ts";
import { engineOf } from "../redlock/redlock.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { readingWith } from "./connect.ts";
import { describeKey, describeWaiter, headline, type Section } from "../describe/describe-key.ts";
import { reportUnknown } from "./failure.ts";
import { type Screen, table, wrap } from "./screen.ts";
import { hasStuck, hasAnswered, type KeySummary, summarise } from "../describe/summary.ts";

export async function inspect(invocation: Invocation): Promise<ExitCode> {
  const { operand: key, options, out } = invocation;
  return await readingWith(invocation, async (redlock) => {
    const engine = engineOf(redlock);
    const { prefix } = engine.settings;
    const inspection = await engine.survey(key);
    const summary = summarise(inspection, Date.now());
    const unavailable = unavailability(inspection, [key], invocation.nodeTimeout);
    if (unavailable !== undefined) {
      const code = reportUnknown(unavailable, { certain: false, ...summary }, invocation);
      if (options.json !== true && summary.nodes.some(hasAnswered)) show(summary, prefix, out);
      return code;
    }
    if (options.json === true) out.json(summary);
    else show(summary, prefix, out);
    if (summary.voting < summary.quorum) return EXIT.noQuorum;
    return hasStuck(summary) ? EXIT.finding : EXIT.ok;
  });
}

export async function waiters(invocation: Invocation): Promise<ExitCode> {
  const { operand: key, options, out } = invocation;
  return await readingWith(invocation, async (redlock) => {
    const found: WaiterInspection[] = [];
    for await (const waiter of redlock.waiters(key)) found.push(waiter);
    if (options.json === true) out.json({ key, waiters: found });
    else {
      const now = Date.now();
      const rows = found.map((each, index) => [String(index + 1), describeWaiter(each, now)]);
      out.print(`${printable(key)} has ${count(found.length, "waiter")}`, ...table(rows));
    }
    return EXIT.ok;
  });
}

const STYLES = {
  free: "green",
  held: "yellow",
  unclear: "yellow",
  unknown: "red",
  voteless: "red",
  blocked: "red",
} as const;

function show(summary: KeySummary, prefix: string, out: Screen): void {
  out.print(out.paint("bold", out.paint(STYLES[summary.state], headline(summary))));
  for (const section of describeKey(summary, prefix)) out.print("", ...linesOf(section, out));
}

function linesOf({ title, facts, sentences }: Section, out: Screen): string[] {
  return [
    out.paint("bold", title),
    ...table(facts.map((fact) => [...fact])),
    ...sentences.flatMap((sentence) => wrap(sentence, "  ")),
  ];
}
