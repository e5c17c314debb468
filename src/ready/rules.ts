import { FARTHEST_CLOCK } from "../lock/tokens.ts";
import { drift } from "../lock/validity.ts";
import { unusableReason } from "../redis/server-info.ts";
import type { VoteCheck } from "./vote-check.ts";
import type { FindingCode, Observation } from "./findings.ts";
import type { NodeFacts } from "./facts.ts";
import type { ClockFacts } from "./server-clock.ts";
import { type RedlockSettings, warningAboutCount } from "../redlock/options.ts";

/** What is known about all masters, and about the queue's Redis. */
export interface Facts {
  readonly nodes: readonly NodeFacts[];
  /** What each master answered to the connection that locks use. */
  readonly votes: readonly VoteCheck[];
  readonly queue: QueueFacts | undefined;
  /** The longest ttl that the masters knew, if it is not the `maxTtl` of this client. */
  readonly otherMaxTtl: number | undefined;
}

/** What is known about the queue's Redis. */
export type QueueFacts =
  | { readonly name: string; readonly runId: string }
  | { readonly name: string; readonly failure: string };

/** Draws the conclusions, in the order of the masters. Pure. */
export function judgeNodes(facts: Facts, settings: RedlockSettings): Observation[] {
  const observations: Observation[] = [];
  for (const [index, node] of facts.nodes.entries()) {
    const exclusions = excluding(facts, index);
    // Warnings about a master that cannot vote are of no use.
    const others = exclusions.length > 0 ? [] : warnings(node, facts.votes[index], settings);
    for (const [code, found] of [...exclusions, ...others]) {
      observations.push({ code, node: node.node, found });
    }
  }
  observations.push(...aboutQueue(facts));
  // Where it costs votes, the masters are named.
  if (facts.otherMaxTtl !== undefined && !facts.votes.some(({ state }) => state === "too-long")) {
    const found = `maxTtl ${settings.maxTtl} here, ${facts.otherMaxTtl} on the masters`;
    observations.push({ code: "max-ttl", node: undefined, found });
  }
  const count = warningAboutCount(facts.nodes.length);
  if (count !== undefined) {
    observations.push({ code: "node-count", node: undefined, found: count.message });
  }
  return observations;
}

/** Whether only its own connection can keep a master from voting. */
export function mayVote(nodes: readonly NodeFacts[], index: number): boolean {
  return excluding({ nodes, votes: [] }, index).length === 0;
}

type Found = [code: FindingCode, found: string];

function excluding({ nodes, votes }: Pick<Facts, "nodes" | "votes">, index: number): Found[] {
  const node = nodes[index];
  if (node === undefined) return [];
  const { info, failure, refusals } = node;
  const found: Found[] = [];
  const needed = refusals.filter(({ onlyForLooking }) => !onlyForLooking);
  for (const cause of new Set(needed.map((refusal) => refusal.cause))) {
    const refused = needed.filter((refusal) => refusal.cause === cause).map(({ what }) => what);
    const code = isFull(cause) ? "writes-refused" : "script-refused";
    found.push([code, `${[...new Set(refused)].join(", ")}: ${cause}`]);
  }
  const unfit = info && unusableReason(info);
  if (unfit !== undefined) found.push([unfit.code, unfit.cause]);
  const runId = info?.runId ?? "";
  const first = nodes.findIndex((other) => runId !== "" && other.info?.runId === runId);
  if (first >= 0 && first < index) {
    found.push(["duplicate-server", `the same server as ${nodes[first]?.node}, by its run_id`]);
  }
  if (node.clock !== undefined) found.push(...excludingClock(node.clock));
  if (found.length > 0) return found;
  if (failure !== undefined) return [["unreachable", failure]];
  const voteCheck = votes[index];
  if (voteCheck?.state === "failed") return [["unreachable", voteCheck.cause]];
  // The connection that answered first votes for the server; the duplicate may be reported already, by its run id.
  const reported = nodes.slice(index + 1).some((other) => other.info?.runId === runId);
  return voteCheck?.state === "duplicate" && !reported
    ? [["duplicate-server", voteCheck.cause]]
    : [];
}

/** The server lacks room, not permission. */
function isFull(cause: string): boolean {
  return /^-?(OOM|MISCONF|NOREPLICAS|READONLY)\b/.test(cause);
}

function excludingClock(clock: ClockFacts): Found[] {
  const found: Found[] = [];
  if (clock.frozen === true) {
    found.push(["clock-frozen", "its clock did not move while a second passed here"]);
  }
  if (certainOffset(clock) > FARTHEST_CLOCK) found.push(["clock-off", describeOffset(clock)]);
  return found;
}

function warnings(
  node: NodeFacts,
  voteCheck: VoteCheck | undefined,
  settings: RedlockSettings,
): Found[] {
  const { info, clock, pubsubRefusal, refusals } = node;
  const found: Found[] = refusals
    .filter(({ onlyForLooking }) => onlyForLooking)
    .map(({ what, cause }) => ["looking-refused", `${what}: ${cause}`]);
  if (info !== undefined) {
    const { evictionPolicy, replicas, runId, replicationId, uptime } = info;
    if (evictionPolicy !== "noeviction") {
      found.push(["eviction", `maxmemory-policy ${evictionPolicy ?? "unknown"}`]);
    }
    const kept = describePersistence(node);
    if (kept !== undefined) {
      found.push(["persistence", kept]);
      if (settings.restartGuard === false && uptime !== undefined && uptime < settings.maxTtl) {
        found.push(["recent-restart", `started ${seconds(uptime)} ago`]);
      }
    }
    if (replicas > 0) {
      found.push([
        "has-replicas",
        `${replicas} connected ${replicas === 1 ? "replica" : "replicas"}`,
      ]);
    }
    if (runId === "") found.push(["run-id-hidden", "no run_id in INFO"]);
    else if (replicationId === "") found.push(["run-id-hidden", "no master_replid in INFO"]);
  }
  if (voteCheck?.state === "quarantined") {
    found.push(["quarantined", `no vote for ${seconds(voteCheck.remaining)}`]);
  }
  if (voteCheck?.state === "unarmed") found.push(["quarantined", `no vote: ${voteCheck.cause}`]);
  if (voteCheck?.state === "too-long") {
    const text = `no vote for locks of ${settings.maxTtl} ms before all masters have answered once`;
    found.push(["max-ttl", text]);
  }
  if (clock === undefined) {
    found.push(["clock-unknown", "TIME is refused"]);
  } else {
    if (certainOffset(clock) > drift(settings.ttl, settings.driftFactor)) {
      found.push(["clock-skew", describeOffset(clock)]);
    }
    const { nodeTimeout } = settings;
    if (clock.roundTrip > nodeTimeout / 2) {
      const text = `a round trip takes ${Math.round(clock.roundTrip)} ms, nodeTimeout is ${nodeTimeout} ms`;
      found.push(["slow", text]);
    }
  }
  if (pubsubRefusal !== undefined) found.push(["pubsub-refused", pubsubRefusal]);
  return found;
}

/** How the server keeps its data, unless every write is on disk before the answer. */
function describePersistence({ info, appendfsync }: NodeFacts): string | undefined {
  if (info?.appendOnly === undefined) return "unknown persistence";
  if (!info.appendOnly) return "no append-only file";
  if (appendfsync === undefined) return "an append-only file; appendfsync is unknown";
  return appendfsync === "always" ? undefined : `appendfsync ${appendfsync}`;
}

function certainOffset({ offset, uncertainty }: ClockFacts): number {
  return Math.abs(offset) - uncertainty;
}

function describeOffset({ offset }: ClockFacts): string {
  const size = Math.abs(offset);
  const shown = size < 10_000 ? `${Math.round(size)} ms` : seconds(size);
  return `its clock is ${shown} ${offset > 0 ? "ahead of" : "behind"} ours`;
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1_000)} s`;
}

function aboutQueue({ queue, nodes }: Facts): Observation[] {
  if (queue === undefined) return [];
  if ("failure" in queue) {
    return [{ code: "queue-unknown", node: undefined, found: `${queue.name}: ${queue.failure}` }];
  }
  return nodes.flatMap(({ node, info }) =>
    info !== undefined && info.runId === queue.runId
      ? [{ code: "queue-server" as const, node, found: "the queue's own Redis, by its run_id" }]
      : [],
  );
}
