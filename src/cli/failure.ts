import { LockRulesError } from "../config/rules-error.ts";
import { LockConfigError, LockUnavailableError, RedlockError } from "../errors.ts";
import type { Call } from "./command.ts";
import { EXIT, type ExitCode } from "./exit-code.ts";
import type { Screen } from "./screen.ts";
import { UsageError } from "./usage-error.ts";
import { printable } from "../printable.ts";
import { explainVote } from "../sentences.ts";

/** What a master said that can be asked. */
const ANSWERS: readonly string[] = ["free", "held", "granted", "gone"];

/** Says to people why a command came to nothing, and under `--json` to programs too. `command` is a known one. */
export function tellFailure(
  error: unknown,
  command: string | undefined,
  isJson: boolean,
  { out, notes }: Pick<Call, "out" | "notes">,
): ExitCode {
  if (isJson) out.json({ error: failureToJson(error) });
  if (error instanceof LockUnavailableError) sayNoQuorum(error, notes);
  else sayUseless(error, command, notes);
  return exitCodeOf(error);
}

function exitCodeOf(error: unknown): ExitCode {
  return error instanceof LockUnavailableError ? EXIT.noQuorum : EXIT.usage;
}

/** Says to programs why a command came to nothing. */
export function failureToJson(error: unknown) {
  const { votes, quorum } = error instanceof LockUnavailableError ? error : {};
  return {
    exitCode: exitCodeOf(error),
    code: error instanceof RedlockError ? error.code : undefined,
    message: messageOf(error),
    problems: error instanceof LockRulesError ? error.faults : undefined,
    quorum,
    masters: votes?.map(({ node, vote, cause }) => {
      const answers = ANSWERS.includes(vote);
      return { node, answers, cause: answers ? undefined : explainVote({ vote, cause }) };
    }),
  };
}

/** Says to people what each master said, when they are too few. */
export function sayNoQuorum({ votes, quorum }: LockUnavailableError, notes: Screen): void {
  notes.say(
    notes.paint(
      "red",
      `NO QUORUM: too few masters answered, ${quorum} of ${votes.length} are needed. Nobody gets a lock now.`,
    ),
  );
  for (const { node, vote, cause } of votes) {
    const said = ANSWERS.includes(vote) ? "answered" : printable(explainVote({ vote, cause }));
    notes.say(`  ${node}  ${said}`);
  }
  notes.say("bullmq-redlock doctor says more about each of them.");
}

function sayUseless(error: unknown, command: string | undefined, notes: Screen): void {
  const label = notes.paint("red", "error:");
  const message = messageOf(error);
  if (error instanceof UsageError) {
    const words = ["bullmq-redlock", ...(command === undefined ? [] : [command]), "--help"];
    notes.say(`${label} ${printable(message)}`, `See: ${words.join(" ")}`);
  } else if (error instanceof LockConfigError) {
    notes.say(label, message.split("\n").map(printable).join("\n"));
  } else notes.say(`${label} ${printable(message)}`);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
