import { aboutVotes } from "./advise.ts";
import { readTimeout } from "./arguments.ts";
import type { Command } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readLookOptions, withImpatientRedlock } from "./connect.ts";
import { describeForeign, who } from "./describe-key.ts";
import { EXIT } from "./exit-code.ts";
import { PATIENCE } from "./inspect.ts";
import { type Screen, table } from "./screen.ts";
import { isAnswer, isForgetful, isStuck, type KeySummary, summarise } from "./summary.ts";
import { UsageError } from "./usage-error.ts";
import { printable } from "../printable.ts";
import { count, duration, list } from "./words.ts";
import { explainVote } from "../sentences.ts";

/** Longer ones would leave no room for the rest of the line. */
const LONGEST_KEY = 60;
/** Asked about once, to learn which masters answer at all; nobody holds it. */
const NO_KEY = "bullmq-redlock ls";

export const ls: Command = {
  summary: "all locks that are held, the oldest first, and keys that are waited for",
  takes: MASTER_OPTIONS,
  help: `Usage: bullmq-redlock ls [options] [PATTERN]

Lists the locks that are held now, the oldest first, then keys that nobody holds
although somebody waits for them; PATTERN is a glob for keys, default "*". Changes
nothing. Every master is asked about every key: that costs
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
      const listed: KeySummary[] = [];
      for await (const inspection of redlock.list(pattern)) {
        listed.push(summarise(inspection, Date.now()));
      }
      listed.sort((a, b) => sinceOf(a) - sinceOf(b) || (a.key < b.key ? -1 : 1));
      const locks = listed.filter(isTaken);
      const waitedFor = listed.filter((each) => !isTaken(each));
      const states = masters.map(({ node, state, cause, vote, quarantine }) => ({
        node,
        vote,
        quarantine,
        answers: state === "free",
        cause: state === "free" ? undefined : explainVote({ vote: state, cause }),
      }));
      if (call.options.json === true) call.out.json({ pattern, locks, waitedFor, masters: states });
      else {
        show(locks, waitedFor, call.out);
        const silent = masters.filter((node) => !isAnswer(node));
        for (const { node, cause } of states.filter(({ answers }) => !answers)) {
          call.notes.say(`${node} did not answer: ${cause}`);
        }
        for (const { node, quarantine } of masters.filter(isForgetful)) {
          const until = quarantine === undefined ? "" : `; votes in ${duration(quarantine)}`;
          call.notes.say(`${node} gives no vote, it is new or lost its memory${until}`);
        }
        if (votes.voting < votes.quorum) call.notes.say(...aboutVotes(votes));
        if (silent.length > 0 && votes.voting >= votes.quorum) {
          call.notes.say(
            `The list has every lock all the same: ${list(masters.filter(isAnswer).map(({ node }) => node))} are a quorum.`,
          );
        }
      }
      return listed.some(({ nodes }) => nodes.some(isStuck)) ? EXIT.finding : EXIT.ok;
    });
  },
};

/** What nobody knows the age of may be the oldest. */
function sinceOf({ holder }: KeySummary): number {
  return holder?.since ?? 0;
}

/** Whether somebody, or something, has the key. */
function isTaken({ state }: KeySummary): boolean {
  return state !== "free" && state !== "voteless";
}

function show(locks: readonly KeySummary[], waitedFor: readonly KeySummary[], out: Screen): void {
  const held = locks.length === 0 ? "no lock is held" : `${count(locks.length, "lock")} held`;
  const waited =
    waitedFor.length === 0 ? "" : `, ${count(waitedFor.length, "key")} only waited for`;
  const listed = [...locks, ...waitedFor];
  if (listed.length === 0) {
    out.say(held);
    return;
  }
  const rows = listed.map((lock) => [
    shorten(printable(lock.key)),
    isTaken(lock) ? holderOf(lock) : "(nobody)",
    ...timesOf(lock),
    `${lock.heldBy} of ${lock.nodes.length}`,
    String(lock.waiting),
    lock.nodes.some(isStuck) ? "does not go away by itself: inspect it" : "",
  ]);
  const [heading = "", ...lines] = table(
    [["KEY", "HOLDER", "FOR", "ENDS IN", "MASTERS", "WAITING", ""], ...rows],
    "",
  );
  out.say(out.paint("dim", heading), ...lines, "", held + waited);
}

function timesOf(lock: KeySummary): string[] {
  if (!isTaken(lock)) return ["-", "-"];
  return [lock.age, lock.remaining].map((ms) => (ms === undefined ? "?" : duration(ms)));
}

function holderOf(lock: KeySummary): string {
  const foreign = lock.nodes.find(({ state }) => state === "foreign");
  if (lock.holder === undefined && foreign !== undefined) return describeForeign(foreign);
  if (lock.holder === undefined) return "nobody has a quorum";
  return lock.holder?.kept ? `${who(lock)} (done; kept by minHold)` : who(lock);
}

function shorten(key: string): string {
  const characters = Array.from(key);
  return characters.length <= LONGEST_KEY
    ? key
    : `${characters.slice(0, LONGEST_KEY - 3).join("")}...`;
}
