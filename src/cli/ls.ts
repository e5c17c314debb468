import { readTimeout } from "./arguments.ts";
import type { Command } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readLookOptions, withImpatientRedlock } from "./connect.ts";
import { aboutVotes, who } from "./describe-key.ts";
import { EXIT } from "./exit-code.ts";
import { PATIENCE } from "./inspect.ts";
import { type Screen, table } from "./screen.ts";
import { isAnswer, isForgetful, isStuck, type KeySummary, summarise } from "./summary.ts";
import { UsageError } from "./usage-error.ts";
import { count, duration, list, printable } from "./words.ts";

/** Longer ones would leave no room for the rest of the line. */
const LONGEST_KEY = 60;
/** Asked about once, to learn which masters answer at all; nobody holds it. */
const NO_KEY = "bullmq-redlock ls";

export const ls: Command = {
  summary: "all locks that are held, the oldest first",
  takes: MASTER_OPTIONS,
  help: `Usage: bullmq-redlock ls [options] [PATTERN]

Lists the locks that are held now, the oldest first; PATTERN is a glob for keys,
default "*". Changes nothing. Every master is asked about every key: that costs
them about a millisecond for each thousand keys.

${MASTER_HELP}
  --timeout TIME  how long a master may take to connect, and to answer; default 2s
  --json          for programs; durations are milliseconds

  bullmq-redlock ls "account:*"

Exit code: 0 listed, also when there is none; 1 something among them does not go
away by itself; 2 a mistake in the command or the file; 3 too few masters answered.`,
  async run(call) {
    const [pattern = "*", ...more] = call.operands;
    if (more.length > 0) {
      throw new UsageError('ls takes one pattern, in quotes, as in: bullmq-redlock ls "account:*"');
    }
    if (pattern === "") throw new UsageError('found an empty pattern, expected a glob such as "*"');
    const nodeTimeout = readTimeout(call.options.timeout, PATIENCE);
    const options = { ...(await readLookOptions(call)), nodeTimeout };
    return await withImpatientRedlock(options, async (redlock) => {
      const votes = summarise(await redlock.inspect(NO_KEY), Date.now());
      const masters = votes.nodes;
      const locks: KeySummary[] = [];
      for await (const inspection of redlock.list(pattern)) {
        locks.push(summarise(inspection, Date.now()));
      }
      locks.sort((a, b) => sinceOf(a) - sinceOf(b) || (a.key < b.key ? -1 : 1));
      const states = masters.map(({ node, state, cause, vote, quarantine }) => ({
        node,
        vote,
        quarantine,
        answers: state === "free",
        cause: state === "free" ? undefined : `${state}${cause === undefined ? "" : ` (${cause})`}`,
      }));
      if (call.options.json === true) call.out.json({ pattern, locks, masters: states });
      else {
        show(locks, call.out);
        const silent = masters.filter((node) => !isAnswer(node));
        for (const { node, cause } of states.filter(({ answers }) => !answers)) {
          call.notes.say(`${node} did not answer: ${cause}`);
        }
        for (const { node, quarantine } of masters.filter(isForgetful)) {
          const until = quarantine === undefined ? "" : `; votes again in ${duration(quarantine)}`;
          call.notes.say(`${node} gives no vote, it lost its memory${until}`);
        }
        if (votes.voting < votes.quorum) call.notes.say(...aboutVotes(votes));
        if (silent.length > 0 && votes.voting >= votes.quorum) {
          call.notes.say(
            `The list has every lock all the same: ${list(masters.filter(isAnswer).map(({ node }) => node))} are a quorum.`,
          );
        }
      }
      return locks.some((lock) => lock.nodes.some(isStuck)) ? EXIT.finding : EXIT.ok;
    });
  },
};

/** What nobody knows the age of may be the oldest. */
function sinceOf({ holder }: KeySummary): number {
  return holder?.since ?? 0;
}

function show(locks: readonly KeySummary[], out: Screen): void {
  if (locks.length === 0) {
    out.say("no lock is held");
    return;
  }
  const rows = locks.map((lock) => [
    shorten(printable(lock.key)),
    holderOf(lock),
    lock.age === undefined ? "?" : duration(lock.age),
    lock.remaining === undefined ? "?" : duration(lock.remaining),
    `${lock.heldBy} of ${lock.nodes.length}`,
    String(lock.waiting),
    lock.nodes.some(isStuck) ? "does not go away by itself: inspect it" : "",
  ]);
  const [heading = "", ...lines] = table(
    [["KEY", "HOLDER", "FOR", "ENDS IN", "MASTERS", "WAITING", ""], ...rows],
    "",
  );
  out.say(out.paint("dim", heading), ...lines, "", `${count(locks.length, "lock")} held`);
}

function holderOf(lock: KeySummary): string {
  if (lock.state === "unclear") return "nobody has a quorum";
  return lock.holder?.kept ? `${who(lock)} (done; kept by minHold)` : who(lock);
}

function shorten(key: string): string {
  const characters = Array.from(key);
  return characters.length <= LONGEST_KEY
    ? key
    : `${characters.slice(0, LONGEST_KEY - 3).join("")}...`;
}
