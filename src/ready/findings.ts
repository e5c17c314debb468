/** How bad a finding is. A fatal one makes `ready()` throw. */
export type FindingSeverity = "fatal" | "warning";

/** Something about the lock masters that `ready()` found. */
export interface Finding {
  /** Stable, see {@link FindingCode}; the texts may change. */
  readonly code: FindingCode;
  readonly severity: FindingSeverity;
  /** The master, as `host:port` or `host:port/db`; `undefined` when it is about all of them. */
  readonly node: string | undefined;
  /** What was found. */
  readonly found: string;
  /** Why it matters. */
  readonly why: string;
  /** What to do. */
  readonly advice: string;
}

interface FindingKind {
  /** `excludes`: the master cannot vote; a warning as long as the others are a quorum, fatal otherwise. */
  readonly weight: "fatal" | "excludes" | "warning";
  readonly why: string;
  readonly advice: string;
}

/** Everything that can be found. `docs/ready.md` shows this table. */
export const FINDINGS = {
  "no-quorum": {
    weight: "fatal",
    why: "A lock needs more than half of the masters: nobody gets one now.",
    advice: "Mend what is found about each of the masters that cannot vote.",
  },
  replica: {
    weight: "fatal",
    why: "A replica takes no writes, and once promoted it has not seen all of them.",
    advice: "Name a master that stands on its own; lock masters need no replicas.",
  },
  "cluster-mode": {
    weight: "fatal",
    why: "A cluster moves keys and fails over to replicas that may not know of a lock; a Sentinel stores nothing.",
    advice: "Name servers that run with `cluster-enabled no`.",
  },
  version: {
    weight: "fatal",
    why: "The scripts are made for, and tested with, Redis 6.2 and later and Valkey.",
    advice: "Upgrade the server.",
  },
  "script-refused": {
    weight: "fatal",
    why: "Every vote is one call of a script: where a part of it is refused, locks fail half-way.",
    advice: "Give the user the permissions listed under Permissions.",
  },
  unreachable: {
    weight: "excludes",
    why: "The master does not vote, and one more loss costs the more.",
    advice: "Look at the cause: address, firewall, TLS, password, a frozen or stopped server.",
  },
  "duplicate-server": {
    weight: "excludes",
    why: "Two votes of one server are one: its restart would take both back. The second entry does not vote.",
    advice: "Give each entry a server of its own.",
  },
  "clock-frozen": {
    weight: "excludes",
    why: "On a clock that stands still no key ever expires: the lock of a killed process stays for ever.",
    advice: "Restart the server, and look at the clock of its machine.",
  },
  "clock-off": {
    weight: "excludes",
    why: "Fencing tokens begin with the time, and masters remember the highest for an hour: they could go backwards.",
    advice: "Run NTP (chrony) on the master and on this machine.",
  },
  loading: {
    weight: "excludes",
    why: "The server does not vote before it has its data back.",
    advice: "Wait; lock masters hold little data and load it in no time.",
  },
  "writes-refused": {
    weight: "excludes",
    why: "The server is full or may not write to its disk: it can free locks, but take none.",
    advice: "Give it memory or disk space; use it for nothing but locks.",
  },
  eviction: {
    weight: "warning",
    why: "A server that is full may evict a lock, and gives the key to a second holder.",
    advice: "Set `maxmemory-policy noeviction`.",
  },
  persistence: {
    weight: "warning",
    why: "After a crash the server may have forgotten locks: it then gives no vote for the quarantine, and with `restartGuard: false` it may vote for a second holder.",
    advice:
      "Set `appendonly yes` and `appendfsync always`, or accept that a restarted master is away for the quarantine.",
  },
  quarantined: {
    weight: "warning",
    why: "The server is new, or may have forgotten locks, and gives no vote until those are over; a majority of such servers stops all new locks.",
    advice: "Wait; if it comes again, find out who restarts or flushes the server.",
  },
  "max-ttl": {
    weight: "warning",
    why: "All clients of a prefix should have the same maxTtl. A longer one is used when all masters have been told of it, and makes the quarantine longer for all.",
    advice:
      "Set the same maxTtl everywhere. The masters keep the longest; to lower it, delete `<prefix>@node` on all of them while no client runs.",
  },
  "recent-restart": {
    weight: "warning",
    why: "It may have forgotten locks that are not over yet, and `restartGuard: false` lets it vote.",
    advice:
      "Leave the guard on, set `appendfsync always`, or keep a restarted server down for `maxTtl`.",
  },
  "clock-skew": {
    weight: "warning",
    why: "Nothing keeps the server's clock and ours together: the next step of one of them may end locks early.",
    advice: "Run NTP (chrony) on the master and on this machine, and let it slew, not step.",
  },
  "clock-unknown": {
    weight: "warning",
    why: "A clock that stands still or is far off goes unnoticed.",
    advice: "Allow TIME.",
  },
  slow: {
    weight: "warning",
    why: "Answers that come after `nodeTimeout` are no votes.",
    advice: "Move the master closer, or raise `nodeTimeout` and `ttl`.",
  },
  "run-id-hidden": {
    weight: "warning",
    why: "Without run_id a restart with old data and an entry that leads to the same server twice go unnoticed, without master_replid a failover and back.",
    advice: "Reach the server itself, not through a proxy that hides who answers.",
  },
  "has-replicas": {
    weight: "warning",
    why: "A failover loses the locks that were not copied yet: a promoted replica, and a master that was one for a while, gives no vote for the quarantine. So does a master when its first replica attaches, and when the last has been gone for repl-backlog-ttl. The quorum needs no replicas.",
    advice:
      "Turn automatic failover off; take more masters, not replicas. Attach and detach replicas of one master at a time, a quarantine apart.",
  },
  "looking-refused": {
    weight: "warning",
    why: "Locks do without it; `isLocked`, `inspect`, `list` and the commands for operators do not.",
    advice: "Give the user the permissions listed under Permissions.",
  },
  "pubsub-refused": {
    weight: "warning",
    why: "Nobody is told when a key is given back: waiters look every second at the latest, and wait longer.",
    advice:
      "Allow PUBLISH, SUBSCRIBE and UNSUBSCRIBE on the channels `<prefix>*`, see Permissions.",
  },
  "node-count": {
    weight: "warning",
    why: "One master is one point of failure; an even number survives no more losses than one less.",
    advice: "Take three or five masters, on different machines.",
  },
  "queue-server": {
    weight: "warning",
    why: "Its load and its failures are those of the queue, a slow script of one stalls the other, and FLUSHALL forgets the locks.",
    advice: "Give the locks servers of their own.",
  },
  "queue-unknown": {
    weight: "warning",
    why: "Whether the queue's own Redis is among the masters is unknown.",
    advice: "Make the queue's Redis reachable, and allow INFO there.",
  },
} as const satisfies Record<string, FindingKind>;

/** The stable codes of findings. */
export type FindingCode = keyof typeof FINDINGS;

/** A finding before its severity is known. */
export interface Observation {
  readonly code: FindingCode;
  readonly node: string | undefined;
  readonly found: string;
}

/** Whether a master about which this was found can vote. */
export function isExcluding({ code }: Pick<Observation, "code">): boolean {
  return FINDINGS[code].weight !== "warning";
}

/** Makes findings of observations. */
export function toFindings(
  observations: readonly Observation[],
  { quorumSuffers, strict }: { quorumSuffers: boolean; strict: boolean },
): Finding[] {
  return observations.map(({ code, node, found }) => {
    const { weight, why, advice } = FINDINGS[code];
    const fatal = strict || weight === "fatal" || (weight === "excludes" && quorumSuffers);
    return { code, severity: fatal ? "fatal" : "warning", node, found, why, advice };
  });
}

/** A finding in one line. */
export function describeFinding({ code, node, found }: Finding): string {
  return `${code}${node === undefined ? "" : ` (${node})`}: ${found}`;
}
