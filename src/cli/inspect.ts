import { LockKeyError, type LockUnavailableError } from "../errors.ts";
import { unavailability } from "../redlock/inspect.ts";
import { engineOf } from "../redlock/redlock.ts";
import type { Call, Command } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readLookOptions, withImpatientRedlock } from "./connect.ts";
import { readTimeout } from "./arguments.ts";
import { describeKey, headline, type Section } from "./describe-key.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { failureToJson, sayNoQuorum } from "./failure.ts";
import { type Screen, table, wrap } from "./screen.ts";
import { isAnswer, isStuck, type KeySummary, summarise } from "./summary.ts";
import { UsageError } from "./usage-error.ts";

/** How long a master may take to answer, in ms. */
export const PATIENCE = { min: 10, max: 60_000, otherwise: 2_000 };

export const inspect: Command = {
  summary: "who holds a key, since when, who waits, and what to do",
  takes: MASTER_OPTIONS,
  help: `Usage: bullmq-redlock inspect [options] KEY

Says who holds a key, since when, for how long, who waits for it in which order,
what each master knows of it, and what to do. Changes nothing.

${MASTER_HELP}
  --timeout TIME  how long a master may take to connect, and to answer; default 2s
  --json          for programs; durations are milliseconds

  bullmq-redlock inspect account:42
  bullmq-redlock inspect --node redis://lock-1 --node redis://lock-2 account:42

A key as a rule makes it is shown by: bullmq-redlock check-config --job FILE

Exit code: 0 free or held; 1 something is stored there that does not go away by
itself; 2 a mistake in the command or the file; 3 too few masters
answered, or can vote: nobody gets a lock now.`,
  async run(call) {
    const key = readKey("inspect", call);
    const nodeTimeout = readTimeout(call.options.timeout, PATIENCE);
    const options = { prefix: "redlock:", ...(await readLookOptions(call)), nodeTimeout };
    const { prefix } = options;
    return await withImpatientRedlock(options, async (redlock) => {
      const inspection = await onKey(async () => await engineOf(redlock).survey(key));
      const summary = summarise(inspection, Date.now());
      const unavailable = unavailability(inspection, nodeTimeout);
      if (unavailable !== undefined) {
        return tellNoQuorum(unavailable, summary, prefix, call);
      }
      if (call.options.json === true) call.out.json(summary);
      else show(summary, prefix, call.out);
      if (summary.voting < summary.quorum) return EXIT.noQuorum;
      return summary.nodes.some(isStuck) ? EXIT.finding : EXIT.ok;
    });
  },
};

/** Says that there is no quorum, and what is known all the same. */
function tellNoQuorum(
  error: LockUnavailableError,
  summary: KeySummary,
  prefix: string,
  { options, out, notes }: Call,
): ExitCode {
  if (options.json === true) {
    out.json({ error: failureToJson(error), known: { certain: false, ...summary } });
  }
  sayNoQuorum(error, notes);
  if (options.json !== true && summary.nodes.some(isAnswer)) show(summary, prefix, out);
  return EXIT.noQuorum;
}

/** The one key that a command takes. @throws {UsageError} */
export function readKey(command: string, { operands }: Pick<Call, "operands">): string {
  const [key, ...more] = operands;
  if (key !== undefined && more.length === 0) return key;
  throw new UsageError(`${command} takes one key, as in: bullmq-redlock ${command} account:42`);
}

/** Does something with a key that an operator has given. @throws {UsageError} when it is none. */
export async function onKey<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw error instanceof LockKeyError ? new UsageError(error.message) : error;
  }
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
