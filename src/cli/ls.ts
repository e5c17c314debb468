import { count } from "../sentences.ts";
import { printable } from "../printable.ts";
import { adviseOnVotes } from "../describe/advise.ts";
import { unavailability } from "../redlock/inspect.ts";
import { engineOf } from "../redlock/redlock.ts";
import { UsageError } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { readingWith } from "./connect.ts";
import { holderOf } from "../describe/describe-key.ts";
import { type Screen, titledTable } from "./screen.ts";
import {
  causeOf,
  hasStuck,
  hasAnswered,
  isForgetful,
  isTaken,
  type KeySummary,
  nodesThat,
  summarise,
} from "../describe/summary.ts";
import { duration, list, shorten } from "../describe/words.ts";

/** Characters of a key that leave room for the other columns. */
const LONGEST_KEY = 60;
/** A key that no client holds; its inspection shows which masters answer and vote. */
const PROBE_KEY = "bullmq-redlock ls";

export async function ls(invocation: Invocation): Promise<ExitCode> {
  const { operand: pattern, options, out, notes, nodeTimeout } = invocation;
  if (pattern === "") throw new UsageError('found an empty pattern, expected a glob such as "*"');
  return await readingWith(invocation, async (redlock) => {
    const probe = await engineOf(redlock).survey(PROBE_KEY);
    const unavailable = unavailability(probe, [], nodeTimeout);
    if (unavailable !== undefined) throw unavailable;
    const masters = summarise(probe, Date.now());
    const listed: KeySummary[] = [];
    for await (const inspection of redlock.list(pattern)) {
      listed.push(summarise(inspection, Date.now()));
    }
    listed.sort((a, b) => sinceOf(a) - sinceOf(b) || (a.key < b.key ? -1 : 1));
    const locks = listed.filter(isTaken);
    const waitedFor = listed.filter((each) => !isTaken(each));
    if (options.json === true) {
      out.json({ pattern, locks, waitedFor, masters: mastersToJson(masters) });
    } else {
      show(locks, waitedFor, out);
      noteMasters(masters, notes);
    }
    if (masters.voting < masters.quorum) return EXIT.noQuorum;
    return listed.some(hasStuck) ? EXIT.finding : EXIT.ok;
  });
}

/** A holder of unknown age may be the oldest. */
function sinceOf({ holder }: KeySummary): number {
  return holder?.since ?? 0;
}

function mastersToJson({ nodes }: KeySummary) {
  return nodes.map((each) => ({
    node: each.node,
    vote: each.vote,
    quarantine: each.quarantine,
    answers: hasAnswered(each),
    cause: causeOf(each),
  }));
}

function noteMasters(masters: KeySummary, notes: Screen): void {
  for (const each of masters.nodes) {
    const { node, quarantine } = each;
    if (!hasAnswered(each)) notes.print(`${node} did not answer: ${causeOf(each)}`);
    else if (isForgetful(each)) {
      const until = quarantine === undefined ? "" : `; it can vote in ${duration(quarantine)}`;
      notes.print(`${node} cannot vote: it is new, or lost its memory${until}`);
    }
  }
  if (masters.voting < masters.quorum) notes.print(...adviseOnVotes(masters));
  else if (!masters.nodes.every(hasAnswered)) {
    notes.print(
      `The list is complete all the same: ${list(nodesThat(masters, hasAnswered))} are a quorum.`,
    );
  }
}

function show(locks: readonly KeySummary[], waitedFor: readonly KeySummary[], out: Screen): void {
  const held = locks.length === 0 ? "no locks held" : `${count(locks.length, "lock")} held`;
  const waited =
    waitedFor.length === 0 ? "" : `, ${count(waitedFor.length, "free key")} with waiters`;
  const listed = [...locks, ...waitedFor];
  if (listed.length === 0) return out.print(held);
  const rows = listed.map((lock) => [
    shorten(printable(lock.key), LONGEST_KEY),
    holderOf(lock),
    ...timesOf(lock),
    `${lock.heldBy} of ${lock.nodes.length}`,
    String(lock.waiting),
    hasStuck(lock) ? "stuck: inspect it" : "",
  ]);
  const titles = ["KEY", "HOLDER", "FOR", "EXPIRES IN", "MASTERS", "WAITERS", ""];
  out.print(...titledTable(out, [titles, ...rows], ""), "", held + waited);
}

function timesOf(lock: KeySummary): string[] {
  if (!isTaken(lock)) return ["-", "-"];
  return [lock.age, lock.remaining].map((ms) => (ms === undefined ? "?" : duration(ms)));
}
