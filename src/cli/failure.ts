import { LockRulesError } from "../config/problem.ts";
import { LockConfigError, LockUnavailableError, RedlockError } from "../errors.ts";
import { explainVote, isAnswer, isBarred, messageOf } from "../sentences.ts";
import { printable, printableLines } from "../printable.ts";
import { UsageError } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import type { Screen } from "./screen.ts";

/** Reports why a command failed: as text, and with `--json` as JSON too. `command` is a known one. */
export function reportFailure(
  error: unknown,
  command: string | undefined,
  isJson: boolean,
  { out, notes }: Pick<Invocation, "out" | "notes">,
): ExitCode {
  if (isJson) out.json({ error: failureToJson(error) });
  if (error instanceof LockUnavailableError) reportNoQuorum(error, notes);
  else reportError(error, command, notes);
  return exitCodeOf(error);
}

function exitCodeOf(error: unknown): ExitCode {
  return error instanceof LockUnavailableError ? EXIT.noQuorum : EXIT.usage;
}

/** The JSON form of a failure. */
export function failureToJson(error: unknown) {
  const { votes, quorum } = error instanceof LockUnavailableError ? error : {};
  return {
    exitCode: exitCodeOf(error),
    code: error instanceof RedlockError ? error.code : undefined,
    message: messageOf(error),
    problems: error instanceof LockRulesError ? error.problems : undefined,
    quorum,
    masters: votes?.map(({ node, vote, cause }) => {
      const votes = isAnswer(vote);
      const answers = votes || isBarred(vote);
      return { node, answers, cause: votes ? undefined : explainVote({ vote, cause }) };
    }),
  };
}

/** Reports that too few masters answered, or can vote, and what each of them did. */
function reportNoQuorum({ votes, quorum }: LockUnavailableError, notes: Screen): void {
  const done = votes.some(({ vote }) => isBarred(vote)) ? "can vote" : "answered";
  notes.print(
    notes.paint(
      "red",
      `NO QUORUM: too few masters ${done}, ${quorum} of ${votes.length} are needed. Locks are unavailable.`,
    ),
  );
  for (const { node, vote, cause } of votes) {
    const answer = isAnswer(vote) ? "answered" : printable(explainVote({ vote, cause }));
    notes.print(`  ${node}  ${answer}`);
  }
  notes.print("Run bullmq-redlock doctor to examine each master.");
}

/** As {@link reportNoQuorum}; with `--json` also what is known all the same. */
export function reportUnknown(
  error: LockUnavailableError,
  known: object,
  { options, out, notes }: Invocation,
): ExitCode {
  if (options.json === true) out.json({ error: failureToJson(error), known });
  reportNoQuorum(error, notes);
  return EXIT.noQuorum;
}

function reportError(error: unknown, command: string | undefined, notes: Screen): void {
  const label = notes.paint("red", "error:");
  const message = messageOf(error);
  if (error instanceof UsageError) {
    const words = ["bullmq-redlock", ...(command === undefined ? [] : [command]), "--help"];
    notes.print(`${label} ${printable(message)}`, `See: ${words.join(" ")}`);
  } else if (error instanceof LockRulesError && error.line === undefined) {
    // No part of the file is wrong, but the file.
    notes.print(`${label} ${printable(`${error.file}: ${error.found}`)}`);
  } else if (error instanceof LockConfigError && message.includes("\n")) {
    notes.print(label, printableLines(message));
  } else notes.print(`${label} ${printable(message)}`);
}
