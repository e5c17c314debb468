import { LONGEST_TIMER } from "../clock.ts";
import type { Command } from "./command.ts";

const MASTERS = {
  config:
    "FILE the rules file; default bullmq-redlock.yaml, .yml or .json in this folder or one above",
  node: "URL a lock master; repeat it for each master. Replaces those of the file. Use BULLMQ_REDLOCK_NODES (comma-separated) for URLs with a password",
  cacert: "FILE the certificate authority of rediss:// masters given by --node",
  cert: "FILE the client certificate for such masters",
  key: "FILE the private key of the client certificate",
  prefix: 'TEXT the prefix of every key on the masters; default that of the file, or "redlock:"',
} as const;

const QUEUE = {
  queue: "NAME the queue; needed with the bare id of a job",
  redis:
    "URL the Redis of the queue, which is no lock master. Use the variable BULLMQ_REDLOCK_REDIS for a URL with a password",
  "queue-prefix": 'TEXT the prefix of BullMQ; default "bull"',
} as const;

/** Bounds of `--timeout` where it limits the answer of one master, in ms. */
export const ANSWER = { min: 10, max: 60_000, otherwise: 2_000 };
const ANSWER_TIMEOUT = "TIME how long a master may take to connect, and to answer; default 2s";

const JSON_OUTPUT = "write JSON; durations are milliseconds, times milliseconds since 1970";

const KEY = { name: "KEY", noun: "key" } as const;

const UNAVAILABLE = "too few masters answered, or can vote: locks are unavailable";
const EXITS = {
  usage: "wrong command line or rules file",
  noQuorum: "too few masters answered",
} as const;

/** All commands: an entry is all that the command line knows of a command, and its `--help`. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  inspect: {
    summary: "show the holder of a key, its wait list, and what to do",
    operand: KEY,
    about:
      "Shows each holder of a key, since when and for how long it holds the key, the wait list in order, the answer of each master, and what to do. Changes nothing. To see the keys of a job as its rule makes them: bullmq-redlock check-config --job FILE",
    options: { ...MASTERS, timeout: ANSWER_TIMEOUT, json: JSON_OUTPUT },
    timeout: ANSWER,
    examples: [
      "bullmq-redlock inspect account:42",
      "bullmq-redlock inspect --node redis://lock-1 --node redis://lock-2 account:42",
    ],
    exits: {
      ...EXITS,
      ok: "free or held",
      finding: "a value under the key is no lock, or never expires",
      noQuorum: UNAVAILABLE,
    },
    load: async () => (await import("./inspect.ts")).inspect,
  },
  ls: {
    summary: "list all locks, the oldest first, and free keys with waiters",
    operand: { name: "[PATTERN]", noun: "pattern, in quotes", otherwise: "*" },
    about:
      'Lists the keys that are held, the oldest first, then the keys that are free but have waiters. Of a key with several holders it shows how many slots are taken, and the oldest holder. PATTERN is a glob for keys, default "*". Changes nothing. Every master is asked about every key, which costs it about 1 ms per 1,000 keys.',
    options: { ...MASTERS, timeout: ANSWER_TIMEOUT, json: JSON_OUTPUT },
    timeout: ANSWER,
    examples: ['bullmq-redlock ls "account:*"'],
    exits: {
      ...EXITS,
      ok: "listed, even if the list is empty",
      finding: "a value in the list is no lock, or never expires",
      noQuorum: UNAVAILABLE,
    },
    load: async () => (await import("./ls.ts")).ls,
  },
  waiters: {
    summary: "list all waiters of a key, in order",
    operand: KEY,
    about:
      "Lists all waiters of a key in the order in which they acquire it; inspect shows the first 20. Changes nothing.",
    options: { ...MASTERS, timeout: ANSWER_TIMEOUT, json: JSON_OUTPUT },
    timeout: ANSWER,
    examples: ["bullmq-redlock waiters account:42"],
    exits: { ...EXITS, ok: "listed, even if the list is empty" },
    load: async () => (await import("./inspect.ts")).waiters,
  },
  why: {
    summary: "report why a job does not run: the keys it waits for, and their holders",
    operand: { name: "JOB", noun: "job" },
    about:
      "Reports why a job does not run: whether it is parked, on which keys, behind which holder and at which position, since when, and when it comes back by itself. A job that waits for no key has another reason, which is named too; of one that runs, the keys that it holds are found among all locks. JOB is an id with --queue, or a name such as bull:invoices:17, as other commands print it. Changes nothing.",
    options: { ...QUEUE, ...MASTERS, timeout: ANSWER_TIMEOUT, json: JSON_OUTPUT },
    timeout: ANSWER,
    examples: [
      "bullmq-redlock why bull:invoices:17",
      "bullmq-redlock why 17 --queue invoices --redis redis://queue:6379",
    ],
    exits: {
      ...EXITS,
      ok: "answered",
      finding: "there is no such job or queue",
      usage: "wrong command line or rules file, or the Redis of the queue does not answer",
    },
    load: async () => (await import("./why.ts")).why,
  },
  wake: {
    summary: "check the wait list of a key now, and wake its first waiter",
    operand: KEY,
    about:
      "Checks the wait list of a key now. If the key is free, reserves it for the first waiter and wakes that waiter. Workers do the same within seconds; use this when the waiters of a free key do not move. A key that is held stays as it is.",
    options: { ...MASTERS, timeout: ANSWER_TIMEOUT, json: JSON_OUTPUT },
    timeout: ANSWER,
    examples: ["bullmq-redlock wake account:42"],
    exits: { ...EXITS, ok: "checked" },
    load: async () => (await import("./wake.ts")).wake,
  },
  hold: {
    summary: "pause a key: its jobs are parked until the hold ends",
    operand: KEY,
    about:
      "Acquires a key as an operator, after its present holder and before all waiters, so that jobs of the key wait. The command stays until the hold ends, and extends its lock: after the time, at Ctrl-C or SIGTERM, or by bullmq-redlock release KEY from another terminal. If the command is killed or loses its machine, the hold ends within the ttl of the rules file; without a file, the longest that the clients use, but no more than 15s. For a hold that outlives the terminal, run it in tmux or as a service.",
    options: {
      ...MASTERS,
      for: "TIME how long, such as 10m or 2h; required",
      reason: "TEXT shown to people as part of the holder; required",
      timeout: "TIME how long to wait for the present holder; default 10m",
      json: "write JSON when the hold begins",
    },
    timeout: { min: 10, max: LONGEST_TIMER, otherwise: 600_000 },
    examples: ['bullmq-redlock hold account:42 --for 10m --reason "ledger migration"'],
    exits: {
      ...EXITS,
      ok: "the hold has ended",
      finding:
        "it did not begin in time, or ended early: it was released by an operator, or was lost",
    },
    load: async () => (await import("./hold.ts")).hold,
  },
  release: {
    summary: "end a hold, or remove the lock of a holder as the last resort",
    operand: KEY,
    about:
      "Ends a hold, see hold. Any other lock is removed with --force only. First the command watches whether the holder extends its lock, and reports what may run twice. Then it removes the lock from all masters and hands the key over to the first waiter. The holder works on until its next heartbeat, at which its signal aborts; its late requests are refused. Before that, try cancel; or end the process: the key is then free within its ttl. The value of another program is never removed.",
    options: {
      ...MASTERS,
      force: "remove the lock of a holder that has not released it",
      reason: "TEXT the reason, for the log of the job; required with --force",
      slot: "N the holder in that slot of a key with a limit; default: a hold, or else the oldest holder",
      "dry-run": "report what may run twice, and remove nothing",
      timeout: "TIME how long to watch whether the holder extends; default 10s",
      json: JSON_OUTPUT,
    },
    timeout: { min: 10, max: 600_000, otherwise: 10_000 },
    examples: [
      "bullmq-redlock release account:42 --dry-run",
      'bullmq-redlock release account:42 --force --reason "worker-3 hangs"',
    ],
    exits: { ...EXITS, ok: "removed, free, or a dry run", finding: "not removed" },
    load: async () => (await import("./release.ts")).release,
  },
  cancel: {
    summary: "ask the job that holds a key to stop",
    operand: KEY,
    about:
      'Asks the job that holds a key to stop, or each of several, and waits until it has: its signal aborts, and the job fails for good with "cancelled by ...", unless its processor returns. Only jobs under onConflict cancelInProgress or a function can be asked. Other holders go on, and keep their lock.',
    options: {
      ...MASTERS,
      slot: "N the holder in that slot of a key with a limit; default: all holders",
      reason: "TEXT the reason, for the error of the job",
      timeout: "TIME how long the holder has to stop; default 10s",
      json: "write JSON",
    },
    timeout: { min: 10, max: 600_000, otherwise: 10_000 },
    examples: ['bullmq-redlock cancel account:42 --reason "wrong customer"'],
    exits: {
      ...EXITS,
      ok: "every holder has stopped, or the key is free",
      finding: "a holder goes on",
    },
    load: async () => (await import("./cancel.ts")).cancel,
  },
  dashboard: {
    summary: "serve a web page: keys by number of waiters, one key, the masters",
    about:
      "Serves a web page until Ctrl-C: keys by number of waiters, one key with its holder, its wait list and the answer of each master, and the masters. Changes nothing. The page has no password; only this machine can reach it, unless --host is another address.",
    options: {
      ...MASTERS,
      port: "NUMBER the port; default 0, any free port",
      host: "ADDRESS the address; default 127.0.0.1",
      timeout: ANSWER_TIMEOUT,
      json: 'write JSON: { "url": ... }',
    },
    timeout: ANSWER,
    examples: ["bullmq-redlock dashboard --port 8080"],
    exits: { ok: "ended by SIGINT or SIGTERM", usage: EXITS.usage },
    load: async () => (await import("./dashboard.ts")).dashboard,
  },
  doctor: {
    summary: "check whether the masters are fit for locks",
    about:
      "Examines every lock master: whether it can vote, and whether its settings make locks weaker or slower than they could be. Takes a little over a second. Leaves nothing on the masters but their guards, as any client does. docs/ready.md lists all findings.",
    options: {
      ...MASTERS,
      queue: "URL the Redis of the queue, which should not be a lock master",
      ignore: "CODE accept a finding; repeat it for each code",
      timeout: "TIME how long the whole examination may take; default 5s",
      json: JSON_OUTPUT,
    },
    timeout: { min: 2_000, max: 60_000, otherwise: 5_000 },
    examples: ["bullmq-redlock doctor --ignore persistence"],
    exits: {
      ...EXITS,
      ok: "no findings",
      finding: "findings, warnings included",
      noQuorum: "too few masters can vote now: locks are unavailable",
    },
    load: async () => (await import("./doctor.ts")).doctor,
  },
  "check-config": {
    summary: "check a rules file, and show what it does with a job",
    operand: { name: "[FILE]", noun: "file", otherwise: "" },
    about:
      "Reads a rules file as loadLocks does, and reports all problems at once, each with file:line:column. FILE may be - for standard input; by default it is bullmq-redlock.yaml, .yml or .json in this folder or one above. Connects to no master; environment variables in nodes must be set.",
    options: {
      config: "FILE the rules file, as the operand",
      job: 'JOB a file with a job as JSON, or - for standard input: { "queueName": "invoices", "name": "charge", "data": {...} } shows which rule matches, and which keys and options the job gets',
      json: JSON_OUTPUT,
    },
    examples: [
      "bullmq-redlock check-config bullmq-redlock.yaml",
      `echo '{"queueName":"invoices","name":"charge","data":{"accountId":42}}' |`,
      "  bullmq-redlock check-config --job -",
    ],
    exits: {
      ok: "no problems",
      finding: "problems in the file, or the job would be refused",
      usage: "wrong command line, or no such file",
    },
    load: async () => (await import("./check-config.ts")).checkConfig,
  },
};
