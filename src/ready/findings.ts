interface FindingKind {
  /** `excludes`: the master cannot vote; a warning as long as the others are a quorum, fatal otherwise. */
  readonly weight: "fatal" | "excludes" | "warning";
  readonly why: string;
  readonly advice: string;
}

/** All findings there are. `docs/ready.md` shows this table. */
export const FINDINGS = {
  "no-quorum": {
    weight: "fatal",
    why: "A lock needs more than half of the masters: no lock can be acquired now.",
    advice: "Fix the findings about the masters that cannot vote.",
  },
  replica: {
    weight: "fatal",
    why: "A replica takes no writes, and after a promotion it lacks some of them.",
    advice: "Use an independent master; lock masters need no replicas.",
  },
  "cluster-mode": {
    weight: "fatal",
    why: "A cluster moves keys and fails over to replicas that may lack a lock; a Sentinel stores nothing.",
    advice: "Use servers with `cluster-enabled no`.",
  },
  version: {
    weight: "fatal",
    why: "The script needs Redis 6.2 or later, or Valkey.",
    advice: "Upgrade the server.",
  },
  "script-refused": {
    weight: "fatal",
    why: "Every vote is one call of a script: if a part of it is refused, locks fail half-way.",
    advice: "Give the user the permissions listed under Permissions.",
  },
  unreachable: {
    weight: "excludes",
    why: "The master does not vote, and a lock needs more than half of all masters.",
    advice:
      "Check the cause: address, firewall, TLS, password, `maxclients`, a frozen or stopped server, a round trip longer than nodeTimeout.",
  },
  "duplicate-server": {
    weight: "excludes",
    why: "Two votes of one server count as one: its restart would take both back. The second entry does not vote.",
    advice: "Give each entry a server of its own.",
  },
  "clock-frozen": {
    weight: "excludes",
    why: "On a frozen clock no key expires: the lock of a killed process stays for ever.",
    advice: "Restart the server, and check the clock of its machine.",
  },
  "clock-off": {
    weight: "excludes",
    why: "Fencing tokens start from the time, and masters remember the highest for an hour: tokens could go backwards.",
    advice: "Run NTP (chrony) on the master and on this machine.",
  },
  loading: {
    weight: "excludes",
    why: "The server does not vote until it has loaded its data.",
    advice: "Wait: lock masters hold little data and load it quickly.",
  },
  "writes-refused": {
    weight: "excludes",
    why: "The server is full, cannot write to its disk, or has fewer replicas than `min-replicas-to-write`: it can release locks, but grant none.",
    advice:
      "Give it memory or disk space, or set `min-replicas-to-write 0`, as the cause says; use it for nothing but locks.",
  },
  eviction: {
    weight: "warning",
    why: "A full server may evict a lock and grant the key to a second holder.",
    advice: "Set `maxmemory-policy noeviction`.",
  },
  persistence: {
    weight: "warning",
    why: "After a crash the server may have forgotten locks: it gives no vote for the quarantine, and with `restartGuard: false` it may vote for a second holder.",
    advice:
      "Set `appendonly yes` and `appendfsync always`, or accept that a restarted master gives no vote for the quarantine.",
  },
  quarantined: {
    weight: "warning",
    why: "The server is new, or may have forgotten locks, and gives no vote until those have expired; a majority of such servers stops all new locks.",
    advice: "Wait. If it happens again, find out what restarts or flushes the server.",
  },
  "max-ttl": {
    weight: "warning",
    why: "All clients of a prefix should have the same maxTtl. A longer one gets no vote until all masters know it, and makes the quarantine longer for all clients.",
    advice:
      "Set the same maxTtl everywhere. The masters keep the longest; to lower it, delete `<prefix>@node` on all of them while no client runs.",
  },
  "recent-restart": {
    weight: "warning",
    why: "The server may have forgotten locks that have not expired, and `restartGuard: false` lets it vote.",
    advice:
      "Leave the guard on, set `appendfsync always`, or keep a restarted server down for `maxTtl`.",
  },
  "clock-skew": {
    weight: "warning",
    why: "The server's clock and the client's are not synchronised: a step of either may end locks early.",
    advice: "Run NTP (chrony) on the master and on this machine, and let it slew, not step.",
  },
  "clock-unknown": {
    weight: "warning",
    why: "A clock that is frozen or far off goes unnoticed.",
    advice: "Allow TIME.",
  },
  slow: {
    weight: "warning",
    why: "Answers after `nodeTimeout` are no votes.",
    advice: "Move the master closer, or raise `nodeTimeout` and `ttl`.",
  },
  "run-id-hidden": {
    weight: "warning",
    why: "Without run_id, a restart with old data and two entries for the same server go unnoticed; without master_replid, so does a failover and back.",
    advice: "Connect to the server itself, not through a proxy that hides it.",
  },
  "has-replicas": {
    weight: "warning",
    why: "A failover loses locks that were not copied yet: a promoted replica gives no vote for the quarantine, and neither does a master that was a replica for a while, whose first replica attaches, or whose last replica has been gone for repl-backlog-ttl. The quorum needs no replicas.",
    advice:
      "Turn automatic failover off; use more masters, not replicas. Attach and detach replicas of one master at a time, a quarantine apart.",
  },
  "looking-refused": {
    weight: "warning",
    why: "Locks work without it; `isLocked`, `inspect`, `list` and the commands for operators do not.",
    advice: "Give the user the permissions listed under Permissions.",
  },
  "pubsub-refused": {
    weight: "warning",
    why: "Waiters are not told when a key is released: they check at most every second, and wait longer.",
    advice:
      "Allow PUBLISH, SUBSCRIBE and UNSUBSCRIBE on the channels `<prefix>*`, see Permissions.",
  },
  "node-count": {
    weight: "warning",
    why: "One master is a single point of failure; an even number survives no more losses than one master fewer.",
    advice: "Use three or five masters, on different machines.",
  },
  "queue-server": {
    weight: "warning",
    why: "Locks share the load and the failures of the queue, a slow script of one stalls the other, and FLUSHALL deletes the locks.",
    advice: "Use servers of their own for the locks.",
  },
  "queue-unknown": {
    weight: "warning",
    why: "It is unknown whether the queue's own Redis is among the masters.",
    advice: "Make the queue's Redis reachable, and allow INFO there.",
  },
} as const satisfies Record<string, FindingKind>;

/** The stable codes of findings. */
export type FindingCode = keyof typeof FINDINGS;

/** How bad a finding is. A fatal one makes `ready()` throw. */
export type FindingSeverity = "fatal" | "warning";

/** A fact about the lock masters that `ready()` reports. */
export interface Finding {
  /** Stable, see {@link FindingCode}; the texts may change. */
  readonly code: FindingCode;
  readonly severity: FindingSeverity;
  /** The master, as `host:port` or `host:port/db`; `undefined` when the finding is about all of them. */
  readonly node: string | undefined;
  /** What was found. */
  readonly found: string;
  /** Why it matters. */
  readonly why: string;
  /** What to do. */
  readonly advice: string;
}

/** A finding before its severity is known. */
export interface Observation {
  readonly code: FindingCode;
  readonly node: string | undefined;
  readonly found: string;
}

/** Whether an observation means that its master cannot vote. */
export function isExcluding({ code }: Pick<Observation, "code">): boolean {
  return FINDINGS[code].weight !== "warning";
}

/** Turns observations into findings. */
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
