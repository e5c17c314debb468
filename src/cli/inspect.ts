import type { LockUnavailableError } from "../errors.ts";
import { unavailability } from "../redlock/inspect.ts";
import { engineOf } from "../redlock/redlock.ts";
import { readKey } from "./arguments.ts";
import { type Command, EXIT, type ExitCode, type Invocation } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readingWith, TIMEOUT_HELP } from "./connect.ts";
import { describeKey, headline, type Section } from "../describe/describe-key.ts";
import { failureToJson, reportNoQuorum } from "./failure.ts";
import { type Screen, table, wrap } from "./screen.ts";
import { hasStuck, isAnswer, type KeySummary, summarise } from "../describe/summary.ts";

export const inspect: Command = {
  summary: "show the holder of a key, its wait list, and what to do",
  takes: MASTER_OPTIONS,
  help: `Usage: bullmq-redlock inspect [options] KEY

Shows each holder of a key, since when and for how long it holds the key, the wait
list in order, the answer of each master, and what to do. Changes nothing.

${MASTER_HELP}
${TIMEOUT_HELP}
  --json          write JSON; durations are milliseconds

  bullmq-redlock inspect account:42
  bullmq-redlock inspect --node redis://lock-1 --node redis://lock-2 account:42

To see the keys of a job as its rule makes them: bullmq-redlock check-config --job FILE

Exit code: 0 free or held; 1 a value under the key is no lock, or never expires;
2 wrong command line or rules file; 3 too few masters answered, or can vote: locks
are unavailable.`,
  async run(invocation) {
    const { options, out } = invocation;
    const key = readKey("inspect", invocation);
    return await readingWith(invocation, async ({ redlock, prefix, nodeTimeout }) => {
      const inspection = await engineOf(redlock).survey(key);
      const summary = summarise(inspection, Date.now());
      const unavailable = unavailability(inspection, nodeTimeout);
      if (unavailable !== undefined) {
        return reportUnknown(unavailable, summary, prefix, invocation);
      }
      if (options.json === true) out.json(summary);
      else show(summary, prefix, out);
      if (summary.voting < summary.quorum) return EXIT.noQuorum;
      return hasStuck(summary) ? EXIT.finding : EXIT.ok;
    });
  },
};

/** Reports that there is no quorum, and what the masters that answered know. */
function reportUnknown(
  error: LockUnavailableError,
  summary: KeySummary,
  prefix: string,
  { options, out, notes }: Invocation,
): ExitCode {
  if (options.json === true) {
    out.json({ error: failureToJson(error), known: { certain: false, ...summary } });
  }
  reportNoQuorum(error, notes);
  if (options.json !== true && summary.nodes.some(isAnswer)) show(summary, prefix, out);
  return EXIT.noQuorum;
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
  out.say(out.paint("bold", out.paint(STYLES[summary.state], headline(summary))));
  for (const section of describeKey(summary, prefix)) out.say("", ...linesOf(section, out));
}

function linesOf({ title, facts, sentences }: Section, out: Screen): string[] {
  return [
    out.paint("bold", title),
    ...table(facts.map((fact) => [...fact])),
    ...sentences.flatMap((sentence) => wrap(sentence, "  ")),
  ];
}
