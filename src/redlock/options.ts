import { refuseUnknownOptions, refuseValue, requireObject, wrongOption } from "../check-options.ts";
import { type DataOption, readOption } from "../data-option.ts";
import type { RedlockWarning } from "../events.ts";
import { LONGEST_TTL, RETENTION } from "../lock/stored-lock.ts";
import { abortMargin, drift, grantPatience } from "../lock/validity.ts";
import { checkTelemetry, type RedlockTelemetry } from "./telemetry.ts";
import { type Endpoint, parseEndpoints } from "../redis/endpoint.ts";
import type { NodeOption } from "../redis/node-options.ts";

/** Options of a `Redlock`. All durations are whole milliseconds. */
export interface RedlockOptions {
  /**
   * The lock masters: independent servers, best three or five, none of them the queue's Redis. Even numbers and
   * fewer than three work, with a warning. A quorum is always more than half of them.
   *
   * `new Redlock()` uses one master on this machine, as Python's `redlock` does, for a first try. `undefined` is refused: it
   * comes from a missing environment variable.
   * @defaultValue `["redis://127.0.0.1:6379/0"]`
   */
  nodes?: readonly NodeOption[];
  /**
   * How long a lock lives without an extend.
   *
   * 15 s, because BullMQ with its defaults retries the job of a killed worker after 31 to 76 s: the old lock has expired
   * by then.
   * @defaultValue 15000
   */
  ttl?: number;
  /** The longest ttl that any call may ask for. @defaultValue `ttl` */
  maxTtl?: number;
  /** Between two extends of a held lock; `false` for none. @defaultValue `ttl / 3` */
  heartbeat?: number | false;
  /** How long one master has to answer; at most the ttl. @defaultValue `ttl / 20`, at least 50, at most 1000 */
  nodeTimeout?: number;
  /**
   * By how much the clocks of masters and clients may differ in speed.
   * @defaultValue 0.01
   * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
   */
  driftFactor?: number;
  /** Put before every key that is stored. All programs that share locks need the same. @defaultValue `"redlock:"` */
  prefix?: string;
  /**
   * How to treat a master that may have forgotten locks, because it was restarted, flushed or replaced: with `true` it
   * gives no vote for the quarantine, about `maxTtl` + `nodeTimeout` + `clockSkewBudget`. A wholly new set of masters
   * votes at once when all have been up for that long; with `"trust-new"` whatever their uptime, for tests and
   * development. `false` switches the guard off: right only for masters that forget nothing (`appendfsync always`), or for
   * a single dispensable one. All clients of the masters need the same value.
   * @defaultValue true
   */
  restartGuard?: boolean | "trust-new";
  /**
   * By how much the clocks of clients may differ for fencing tokens to stay in order when masters have lost all marks.
   * Part of the quarantine.
   * @defaultValue 5000
   */
  clockSkewBudget?: number;
  /** BullMQ's telemetry object: a span for each acquisition, and metrics under `bullmq.redlock.`. @defaultValue none */
  telemetry?: RedlockTelemetry;
}

/**
 * The options of a `Redlock` that are data, but for the masters: their names, values, bounds, constant defaults, and their
 * descriptions in a schema. A rules file takes these at its top. An option that is not here does not compile.
 */
export const REDLOCK_OPTIONS = {
  ttl: {
    takes: "duration",
    says: "How long a lock lives without an extend; default 15s.",
    default: 15_000,
    min: 1,
    max: LONGEST_TTL,
  },
  maxTtl: {
    takes: "duration",
    says: "The longest ttl that a rule may have; default the ttl.",
    max: LONGEST_TTL,
  },
  heartbeat: {
    takes: "duration or false",
    says: "Between two extends of a held lock; default a third of the ttl.",
  },
  nodeTimeout: {
    takes: "duration",
    says: "How long one master has to answer; default a twentieth of the ttl, 50ms to 1s.",
    min: 10,
    max: 60_000,
  },
  driftFactor: {
    takes: "ratio",
    says: "By how much the clocks of masters and clients may differ in speed; default 0.01.",
    default: 0.01,
    max: 0.2,
  },
  prefix: {
    takes: "text",
    says: 'Put before every key that is stored; default "redlock:". All programs that share locks need the same.',
    default: "redlock:",
    max: 256,
  },
  restartGuard: {
    takes: [true, "trust-new", false],
    says: "What becomes of a master that may have forgotten locks; default true. All clients need the same.",
    default: true,
  },
  clockSkewBudget: {
    takes: "duration",
    says: "By how much the clocks of clients may differ while fencing tokens stay in order; default 5s.",
    default: 5_000,
    // Masters that forget a mark sooner could not keep tokens in order.
    max: RETENTION / 4,
  },
} as const satisfies Record<Exclude<keyof RedlockOptions, "nodes" | "telemetry">, DataOption>;

/** The names of all options of a `Redlock`. */
export const REDLOCK_OPTION_NAMES = ["nodes", ...Object.keys(REDLOCK_OPTIONS), "telemetry"];

/** Checked options, with their defaults. */
export interface RedlockSettings extends Readonly<
  Required<Omit<RedlockOptions, "nodes" | "telemetry">>
> {
  readonly endpoints: readonly Endpoint[];
  readonly telemetry: RedlockTelemetry | undefined;
}

/** What bounds a ttl and a heartbeat from below. */
type Pace = Pick<RedlockSettings, "nodeTimeout" | "driftFactor">;

const DEFAULT_NODES = ["redis://127.0.0.1:6379/0"];
/** A vote that takes this many ms, or the node timeout if that is less, must still make a lock. */
const HEALTHY_ANSWER = 50;

/** Checks the options of a `Redlock`, and fills in defaults. @throws {LockConfigError} for what could never work. */
export function checkRedlockOptions(options: unknown): RedlockSettings {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, REDLOCK_OPTION_NAMES);
  const given: RedlockOptions = options;
  const known = REDLOCK_OPTIONS;
  checkNodes("nodes" in given ? given.nodes : DEFAULT_NODES);
  const endpoints = parseEndpoints("nodes", given.nodes ?? DEFAULT_NODES);
  const driftFactor = readOption("driftFactor", given.driftFactor, known.driftFactor);
  const ttl = readOption("ttl", given.ttl, known.ttl);
  const usual = Math.round(Math.min(Math.max(ttl / 20, 50), 1_000));
  const nodeTimeout = readOption("nodeTimeout", given.nodeTimeout, {
    ...known.nodeTimeout,
    default: usual,
  });
  const pace = { nodeTimeout, driftFactor };
  checkGrantable("ttl", ttl, pace);
  checkNodeTimeout("nodeTimeout", ttl, pace);
  return {
    endpoints,
    ttl,
    maxTtl: readOption("maxTtl", given.maxTtl, { ...known.maxTtl, min: ttl, default: ttl }),
    heartbeat: checkHeartbeat("heartbeat", given.heartbeat, ttl, pace),
    ...pace,
    prefix: readOption("prefix", given.prefix, known.prefix),
    restartGuard: readOption("restartGuard", given.restartGuard, known.restartGuard),
    clockSkewBudget: readOption("clockSkewBudget", given.clockSkewBudget, known.clockSkewBudget),
    telemetry: checkTelemetry("telemetry", given.telemetry),
  };
}

/** Refuses the value of an environment variable that is missing or has several masters, without repeating it: it may contain passwords. */
function checkNodes(nodes: unknown): void {
  if (nodes === undefined || nodes === null) {
    const expected = "a list of lock masters; is an environment variable missing?";
    throw wrongOption("nodes", nodes, expected);
  }
  if (typeof nodes === "string") {
    const expected = "a list of URLs: split it at its commas";
    refuseValue("nodes", "a text", expected);
  }
  for (const [index, node] of Array.isArray(nodes) ? nodes.entries() : [])
    refuseSeveralNodes(`nodes[${index}]`, node);
}

/** Refuses a text with several URLs as one node. */
export function refuseSeveralNodes(path: string, node: unknown): void {
  if (typeof node !== "string" || !/,\s*(?:redis|valkey)s?:\/\//i.test(node)) return;
  const found = "several URLs in one text";
  refuseValue(path, found, "one: split it at its commas");
}

/** Refuses a ttl that ends before healthy masters have answered. */
export function checkGrantable(
  path: string,
  ttl: number,
  { nodeTimeout, driftFactor }: Pace,
): void {
  const needed = Math.min(nodeTimeout, HEALTHY_ANSWER);
  if (grantPatience(ttl, driftFactor) >= needed) return;
  let shortest = ttl;
  while (grantPatience(shortest, driftFactor) < needed) shortest += 1;
  refuseValue(
    path,
    `${ttl}`,
    `at least ${shortest} ms: a shorter lock would end before its masters have answered`,
  );
}

/** Refuses a node timeout that outlasts the ttl: nothing would be left of a lock whose masters answer that late. */
function checkNodeTimeout(path: string, ttl: number, { nodeTimeout }: Pace): void {
  if (nodeTimeout <= ttl) return;
  refuseValue(
    path,
    `${nodeTimeout}`,
    `at most ${ttl} ms, the ttl: a lock would end before its masters have answered`,
  );
}

/** Checks the heartbeat of a lock, and gives its default. */
export function checkHeartbeat(
  path: string,
  heartbeat: unknown,
  ttl: number,
  pace: Pace,
): number | false {
  if (heartbeat === false) return false;
  const latest = latestHeartbeat(ttl, pace);
  if (latest < 1) {
    let shortest = ttl;
    while (latestHeartbeat(shortest, pace) < 1) shortest += 1;
    refuseValue(
      "ttl",
      `${ttl}`,
      `at least ${shortest} ms, or heartbeat: false: a shorter lock would end before it is extended`,
    );
  }
  if (heartbeat === undefined) return Math.min(Math.round(ttl / 3), latest);
  const fits =
    typeof heartbeat === "number" &&
    Number.isSafeInteger(heartbeat) &&
    heartbeat >= Math.min(10, latest) &&
    heartbeat <= latest;
  if (fits) return heartbeat;
  throw wrongOption(
    path,
    heartbeat,
    `false, or whole milliseconds from ${Math.min(10, latest)} to ${latest}: a ttl of ${ttl} ms must be extended before its end`,
  );
}

/** The grant and the first extend may each take as long as a healthy answer. */
function latestHeartbeat(ttl: number, { nodeTimeout, driftFactor }: Pace): number {
  const answers = 2 * Math.min(nodeTimeout, HEALTHY_ANSWER);
  return Math.floor(ttl - drift(ttl, driftFactor) - abortMargin(ttl) - answers);
}

/** The warning about a number of masters that is no better than a smaller one, or survives no loss. */
export function warningAboutCount(nodes: number): RedlockWarning | undefined {
  if (nodes >= 3 && nodes % 2 === 1) return undefined;
  const message =
    nodes === 1
      ? "one lock master: while it is down, locks are unavailable; three independent masters survive the loss of one"
      : `${nodes} lock masters survive the loss of ${Math.ceil(nodes / 2) - 1}, no more than ${nodes - 1} would; use an odd number, three or five`;
  return { code: "node-count", message };
}
