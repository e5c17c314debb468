import { count } from "../sentences.ts";
import { checkMs, refuseUnknownOptions, requireBoolean, requireObject } from "../check-options.ts";
import { RedlockClosedError } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import { pause } from "../pause.ts";
import type { Engine } from "../redlock/engine.ts";
import type { RedlockSettings } from "../redlock/options.ts";
import { examine, noFacts } from "./facts.ts";
import { isExcluding, toFindings } from "./findings.ts";
import { Probe, type ProbeOptions } from "./probe.ts";
import { askQueue, parseQueue, type QueueConnection } from "./queue-server.ts";
import { isFatal, NotReadyError, type ReadyReport } from "./report.ts";
import { type Facts, judgeNodes, mayVote, type QueueFacts } from "./rules.ts";
import { checkVotes, type VoteCheck } from "./vote-check.ts";

/** Options of {@link Redlock.ready}. */
export interface ReadyOptions {
  /** Makes every warning fatal. @defaultValue false */
  strict?: boolean;
  /**
   * Milliseconds after which `ready()` settles at the latest, from 2000 to 60000. A master that has not answered by then
   * counts as unreachable.
   * @defaultValue 5000
   */
  timeout?: number;
  /**
   * How the queue connects: a URL, options, an ioredis client, or what BullMQ takes as `connection`. Its server should
   * not be one of the masters.
   */
  queue?: QueueConnection;
}

const DEFAULT_TIMEOUT = 5_000;
/** A clock is observed for a second; less than two would leave no time for the rest. */
const SHORTEST_TIMEOUT = 2_000;
const LONGEST_TIMEOUT = 60_000;
/** Milliseconds that one question may take, unless `nodeTimeout` is longer. */
const PATIENCE = 1_000;
/** Milliseconds between two checks of masters that do not vote yet. */
const RECHECK = 100;

/** Examines all masters. @throws {NotReadyError} on a fatal finding. */
export async function checkReady(options: unknown, engine: Engine): Promise<ReadyReport> {
  const checked = checkOptions(options);
  const { clock, closing, settings, context } = engine;
  const ended = new AbortController();
  const timer = clock.timer(checked.timeout, () => ended.abort());
  const forget = onAbort(closing, () => ended.abort());
  try {
    const facts = await gather(checked, engine, ended.signal);
    if (closing.aborted) throw new RedlockClosedError();
    const report = toReport(facts, settings, context.masters.quorum, checked.strict);
    if (report.findings.some(isFatal)) throw new NotReadyError(report);
    return report;
  } finally {
    forget();
    clock.clearTimer(timer);
    // Closes the probes.
    ended.abort();
  }
}

interface CheckedOptions {
  readonly strict: boolean;
  readonly timeout: number;
  readonly queue: ReturnType<typeof parseQueue>;
}

function checkOptions(options: unknown): CheckedOptions {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, ["strict", "timeout", "queue"]);
  const { strict = false, timeout = DEFAULT_TIMEOUT, queue }: ReadyOptions = options;
  requireBoolean("strict", strict);
  return {
    strict,
    timeout: checkMs("timeout", timeout, SHORTEST_TIMEOUT, LONGEST_TIMEOUT),
    queue: queue === undefined ? undefined : parseQueue("queue", queue),
  };
}

/** Collects facts until all are known, or the signal aborts. */
async function gather(
  { timeout, queue }: CheckedOptions,
  { settings, context }: Engine,
  ended: AbortSignal,
): Promise<Facts> {
  const { clock, random, guards } = context;
  const { endpoints, prefix, nodeTimeout, maxTtl } = settings;
  const patience = Math.min(Math.max(nodeTimeout, PATIENCE), timeout);
  const open = (endpoint: ProbeOptions["endpoint"]): Probe => {
    const probe = new Probe({ endpoint, clock, patience });
    onAbort(ended, () => probe.close());
    return probe;
  };
  // Stands for each fact that is not known in time.
  const late = `no answer within ${timeout} ms`;
  const nodes = endpoints.map(({ name }) => noFacts(name, late));
  const votes = nodes.map((): VoteCheck => ({ state: "failed", cause: late }));
  let queueFacts: QueueFacts | undefined = queue && { name: queue.name, failure: late };

  const examined = Promise.all(
    endpoints.map(async (endpoint, index) => {
      const probe = open(endpoint);
      const examination = { probe, clock, random, prefix, guarded: guards.enabled, ended };
      await examine(nodes[index] ?? noFacts(endpoint.name, late), examination);
      probe.close();
    }),
  );
  const voted = async (): Promise<void> => {
    await checkVotes(context, maxTtl, votes);
    await examined;
    // Guards are set, and lost connections made again, only after a while.
    while (!ended.aborted && votes.some((vote, i) => mayChange(vote) && mayVote(nodes, i))) {
      await pause(clock, RECHECK, ended);
      if (!ended.aborted) await checkVotes(context, maxTtl, votes);
    }
  };
  const queueAsked = async (): Promise<void> => {
    if (queue === undefined) return;
    const probe = open(queue);
    queueFacts = await askQueue(queue.name, probe);
    probe.close();
  };
  await Promise.race([Promise.all([examined, voted(), queueAsked()]), aborted(ended)]);
  return { nodes, votes, queue: queueFacts, otherMaxTtl: guards.otherMaxTtl };
}

function mayChange({ state }: VoteCheck): boolean {
  return state === "unarmed" || state === "too-long" || state === "failed";
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    onAbort(signal, resolve);
  });
}

function toReport(
  facts: Facts,
  settings: RedlockSettings,
  quorum: number,
  strict: boolean,
): ReadyReport {
  const observations = judgeNodes(facts, settings);
  const excluded = new Set(observations.filter(isExcluding).map(({ node }) => node));
  const eligible = facts.nodes.filter(({ node }) => !excluded.has(node)).length;
  const quorumSuffers = eligible < quorum;
  if (quorumSuffers) {
    observations.unshift({
      code: "no-quorum",
      node: undefined,
      found: `${eligible} of ${count(facts.nodes.length, "master")} can vote, a lock needs ${quorum}`,
    });
  }
  const findings = toFindings(observations, { quorumSuffers, strict });
  return {
    nodes: facts.nodes.map(({ node, info, clock }, index) => {
      const vote = facts.votes[index];
      const isEligible = !excluded.has(node);
      return {
        node,
        eligible: isEligible,
        votes: isEligible && vote?.state === "votes",
        quarantine: vote?.state === "quarantined" ? vote.remaining : undefined,
        server: info?.product,
        uptime: info?.uptime,
        roundTrip: clock?.roundTrip,
        clockOffset: clock?.offset,
      };
    }),
    findings: [...findings.filter(isFatal), ...findings.filter((each) => !isFatal(each))],
    quorum,
  };
}
