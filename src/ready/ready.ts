import { checkNumber, refuseUnknownOptions, requireObject } from "../check-options.ts";
import { describeValue, LockConfigError, RedlockClosedError, RedlockError } from "../errors.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { onAbort } from "../on-abort.ts";
import { pause } from "../pause.ts";
import { Probe, type ProbeOptions } from "../redis/probe.ts";
import { type VoteCheck, checkVotes } from "./vote-check.ts";
import { describeFinding, type Finding, isExcluding, toFindings } from "./findings.ts";
import { type Facts, judgeNodes, mayVote, type QueueFacts } from "./judge-nodes.ts";
import { examine, noFacts } from "./node-facts.ts";
import type { RedlockSettings } from "../redlock/options.ts";
import { askQueue, parseQueue, type QueueConnection } from "./queue-server.ts";

/** Options of {@link Redlock.ready}. */
export interface ReadyOptions {
  /** Makes every warning fatal. @defaultValue false */
  strict?: boolean;
  /**
   * Milliseconds after which `ready()` settles at the latest, from 2000 to 60000. What did not answer by then counts
   * as unreachable.
   * @defaultValue 5000
   */
  timeout?: number;
  /**
   * How the queue connects: a URL, options, an ioredis client, or what BullMQ takes as `connection`. Its server should
   * not be one of the masters.
   */
  queue?: QueueConnection;
}

/** What `ready()` found out about one master. Durations are milliseconds. */
export interface NodeReport {
  /** `host:port`. */
  readonly node: string;
  /** Whether it can vote, now or after its quarantine. */
  readonly eligible: boolean;
  /** Whether it votes now: false of one that is not eligible, is in quarantine, or has no guard yet. */
  readonly votes: boolean;
  /** How long it gives no vote yet; `undefined` when it votes, and when that is not known. */
  readonly quarantine: number | undefined;
  /** "Redis 7.4.1". */
  readonly server: string | undefined;
  readonly uptime: number | undefined;
  readonly roundTrip: number | undefined;
  /** By how much its clock is ahead of ours. */
  readonly clockOffset: number | undefined;
}

/** What {@link Redlock.ready} found out. */
export interface ReadyReport {
  readonly nodes: readonly NodeReport[];
  /** Fatal ones first, then in the order of the masters. */
  readonly findings: readonly Finding[];
  /** How many masters a lock needs. */
  readonly quorum: number;
}

/** The lock masters cannot be used as they are. */
export class NotReadyError extends RedlockError {
  override readonly name = "NotReadyError";
  readonly code = "ERR_REDLOCK_NOT_READY";
  readonly report: ReadyReport;

  constructor(report: ReadyReport) {
    const found = report.findings.filter(isFatal).map(describeFinding).join("; ");
    super(
      `nodes: found ${found}, expected ${report.quorum} or more masters that can vote, and nothing fatal (docs/ready.md says what to do)`,
    );
    this.report = report;
  }
}

const KNOWN = ["strict", "timeout", "queue"];
const DEFAULT_TIMEOUT = 5_000;
/** A clock is observed for a second; less than two would leave no time for the rest. */
const SHORTEST_TIMEOUT = 2_000;
const LONGEST_TIMEOUT = 60_000;
/** Milliseconds that one question may take, unless `nodeTimeout` is longer. */
const PATIENCE = 1_000;
/** Milliseconds between two looks at masters that do not vote yet. */
const NEXT_LOOK = 100;

/** What a check of the masters works with. */
interface ReadyParts {
  readonly settings: RedlockSettings;
  readonly context: LockContext;
  /** Aborts when the `Redlock` closes. */
  readonly closing: AbortSignal;
}

/** Examines all masters. @throws {NotReadyError} on a fatal finding. */
export async function checkReady(options: unknown, parts: ReadyParts): Promise<ReadyReport> {
  const checked = checkOptions(options);
  const { clock } = parts.context;
  const ended = new AbortController();
  const timer = clock.timer(checked.timeout, () => ended.abort());
  const forget = onAbort(parts.closing, () => ended.abort());
  try {
    const facts = await gather(checked, parts, ended.signal);
    if (parts.closing.aborted) throw new RedlockClosedError();
    const report = toReport(facts, parts.settings, parts.context.masters.quorum, checked.strict);
    if (report.findings.some(isFatal)) {
      throw new NotReadyError(report);
    }
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
  refuseUnknownOptions("", options, KNOWN);
  const { strict = false, timeout = DEFAULT_TIMEOUT, queue }: ReadyOptions = options;
  if (typeof strict !== "boolean") {
    throw new LockConfigError({
      path: "strict",
      found: describeValue(strict),
      expected: "true or false",
    });
  }
  return {
    strict,
    timeout: checkNumber("timeout", timeout, {
      min: SHORTEST_TIMEOUT,
      max: LONGEST_TIMEOUT,
      unit: "whole milliseconds",
    }),
    queue: queue === undefined ? undefined : parseQueue("queue", queue),
  };
}

/** Learns what there is to learn until all is known, or the signal aborts. */
async function gather(
  { timeout, queue }: CheckedOptions,
  { settings, context }: ReadyParts,
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
  // What stands for everything that is not known in time.
  const late = `no answer within ${timeout} ms`;
  const nodes = endpoints.map(({ name }) => noFacts(name, late));
  const ballots = nodes.map((): VoteCheck => ({ state: "failed", cause: late }));
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
    await checkVotes(context, maxTtl, ballots);
    await examined;
    // A guard is set after a while, a lost connection made anew after another.
    while (
      !ended.aborted &&
      ballots.some((voteCheck, i) => mayChange(voteCheck) && mayVote(nodes, i))
    ) {
      await pause(clock, NEXT_LOOK, ended);
      if (!ended.aborted) await checkVotes(context, maxTtl, ballots);
    }
  };
  const queueAsked = async (): Promise<void> => {
    if (queue === undefined) return;
    const probe = open(queue);
    queueFacts = await askQueue(queue.name, probe);
    probe.close();
  };
  await Promise.race([Promise.all([examined, voted(), queueAsked()]), aborted(ended)]);
  return { nodes, ballots, queue: queueFacts, otherMaxTtl: guards.otherMaxTtl };
}

function mayChange({ state }: VoteCheck): boolean {
  return state === "unarmed" || state === "failed";
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
      found: `${eligible} of ${facts.nodes.length} masters can vote, a lock needs ${quorum}`,
    });
  }
  const findings = toFindings(observations, { quorumSuffers, strict });
  return {
    nodes: facts.nodes.map(({ node, info, clock }, index) => {
      const voteCheck = facts.ballots[index];
      return {
        node,
        eligible: !excluded.has(node),
        votes:
          !excluded.has(node) &&
          voteCheck?.state !== "quarantined" &&
          voteCheck?.state !== "unarmed",
        quarantine: voteCheck?.state === "quarantined" ? voteCheck.remaining : undefined,
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

function isFatal({ severity }: Finding): boolean {
  return severity === "fatal";
}
