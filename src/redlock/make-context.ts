import { Refusals } from "../lock/refusals.ts";
import { SlotChoice } from "../lock/slot-choice.ts";
import { count, quoteKeys } from "../sentences.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { RedlockWarningCode, SafeEmitter } from "../events.ts";
import type { LockContext } from "../lock/lock-context.ts";
import { Guards } from "../lock/guard.ts";
import type { DeliveryListener } from "../lock/delivery.ts";
import { type Defer, Masters } from "../lock/masters.ts";
import { lockScript } from "../waiters/script.ts";
import { namesUnder } from "../lock/stored-lock.ts";
import { FARTHEST_CLOCK, TokenSource } from "../lock/tokens.ts";
import { type Random, systemRandom } from "../random.ts";
import type { NodePort } from "../redis/node-port.ts";
import { Master, type MasterOptions } from "../redis/master.ts";
import type { RedlockSettings } from "./options.ts";
import type { NodeStates } from "./status.ts";

/** The world around a `Redlock`: tests pass another one. */
export interface Runtime {
  clock: Clock;
  random: Random;
  connect(options: MasterOptions): NodePort;
  /** When requests of the same step are sent. @defaultValue after the promise jobs of the step */
  defer?: Defer;
}

type OnRefused = NonNullable<DeliveryListener["onRefused"]>;
type Warn = (code: RedlockWarningCode, message: string) => void;

// Taken now: fake timers of a test runner may replace them later. If they have done so already, the present ones count.
const areFake = "clock" in setImmediate;
const taken = areFake ? undefined : { nextTick: process.nextTick.bind(process), setImmediate };

/** The queue of next ticks runs after all promise jobs: the batch contains all requests of the step. */
function atEndOfStep(run: () => void): void {
  (taken ?? process).nextTick(run);
}

/**
 * An idle process sends at the end of the step. A process that awaits answers first reads those that have arrived, so that
 * the requests that follow travel in one batch: larger batches cost both sides less.
 */
function atEndOfTurn(run: () => void, busy: boolean): void {
  if (busy) (taken ?? globalThis).setImmediate(run);
  else atEndOfStep(run);
}

/** Real time, randomness and masters. */
export const REAL_RUNTIME: Runtime = {
  clock: systemClock,
  random: systemRandom,
  connect: (options) => new Master(options),
  defer: atEndOfTurn,
};

/**
 * Makes what the locks of one `Redlock` share, and turns the state of its masters into its events.
 * @param answered called with the milliseconds that each answer of a master took.
 */
export function makeContext(
  settings: RedlockSettings,
  runtime: Runtime,
  events: SafeEmitter,
  states: NodeStates,
  answered: ((node: string, ms: number) => void) | undefined,
): LockContext {
  const { clock, random } = runtime;
  const { endpoints, nodeTimeout, driftFactor, prefix, restartGuard: mode } = settings;
  const ports = endpoints.map((endpoint, node) =>
    runtime.connect({
      endpoint,
      script: lockScript,
      nodeTimeout,
      farthestClock: FARTHEST_CLOCK,
      clock,
      random,
      onUp: () => {
        states.up(node);
        events.emit("node:up", { node: endpoint.name });
      },
      onDown: (cause) => {
        states.down(node, cause);
        events.emit("node:down", { node: endpoint.name, cause });
      },
    }),
  );
  const warn: Warn = (code, message) => {
    events.emit("warning", { code, message });
  };
  const masters = new Masters(ports, {
    fastPath: lockScript.fastPath,
    defer: runtime.defer ?? atEndOfStep,
    onDuplicate: (node, first) => {
      const { names } = masters;
      states.duplicate(node, names[first] ?? "another node");
      warn(
        "duplicate-server",
        `nodes[${node}] (${names[node]}) is the same server as nodes[${first}] (${names[first]}); it has no vote`,
      );
    },
    onRefused: refusalWarning(clock, (node, what) =>
      warn("refused", `${masters.names[node]} ${what}`),
    ),
    ...(answered === undefined
      ? {}
      : {
          onAnswer: (node: number, sentAt: number) =>
            answered(masters.names[node] ?? "", clock.now() - sentAt),
        }),
  });
  const names = namesUnder(prefix);
  const named = (nodes: readonly number[]): string[] =>
    nodes.map((node) => masters.names[node] ?? "");
  const guards = new Guards(
    masters,
    names,
    clock,
    { ...settings, mode },
    {
      quarantined: (node, remaining) =>
        events.emit("node:quarantined", { node: masters.names[node] ?? "", remaining }),
      noQuorum: (nodes, remaining) =>
        warn("no-quorum", describeNoQuorum(named(nodes), ports.length, remaining)),
      stuck: (silent, remaining) =>
        warn("longest-ttl-unknown", describeStuck(named(silent), remaining)),
      otherMaxTtl: (known) => warn("max-ttl", describeOtherMaxTtl(settings.maxTtl, known)),
    },
  );
  return {
    masters,
    guards,
    tokens: new TokenSource(clock),
    splitLeaders: new Map(),
    names,
    clock,
    random,
    slotChoice: new SlotChoice(random),
    refusals: new Refusals(clock),
    onOtherLimit: otherLimitWarning(warn),
    driftFactor,
    nodeTimeout,
    process: random.owner(),
  };
}

/** Warns of each pair of limits once: a deployment that changes the limit concerns all keys. */
function otherLimitWarning(warn: Warn): LockContext["onOtherLimit"] {
  const warned = new Set<number>();
  return ({ key, limit }) => {
    if (warned.has(limit)) return;
    warned.add(limit);
    warn(
      "limit",
      `${quoteKeys([key])}: another limit was used for it in the last minute: ${limit}. Each request obeys its own limit, ` +
        "so the largest one counts: use the same limit for a key everywhere",
    );
  };
}

/** Milliseconds for which the warning of a master stands for all its refusals of the same kind of request. */
const REFUSALS = 60_000;

/** Warns of a master that refuses requests: a release, a waiter or a hand-over would be lost without a word. */
function refusalWarning(clock: Clock, warn: (node: number, what: string) => void): OnRefused {
  const warnedAt = new Map<string, number>();
  return (node, operation, { message }) => {
    // A value of another program at the place of a lock is an error of its own.
    if (operation.looks === true || message.startsWith("WRONGTYPE")) return;
    const now = clock.now();
    const kind = `${node} ${operation.name}`;
    if (now - (warnedAt.get(kind) ?? -Infinity) < REFUSALS) return;
    warnedAt.set(kind, now);
    warn(node, `has refused a request (${operation.name}): ${message}`);
  };
}

function describeNoQuorum(listed: readonly string[], nodes: number, remaining: number): string {
  return (
    `locks are unavailable for ${Math.ceil(remaining / 1_000)} s: ${listed.length} of ${count(nodes, "master")} (${listed.join(", ")}) are new, ` +
    "or may have forgotten locks, and give no vote until those have expired; locks then work again without any action " +
    '(new servers of tests and development need not wait: restartGuard: "trust-new")'
  );
}

function describeStuck(silent: readonly string[], remaining: number): string {
  return (
    `locks are unavailable: the masters that answer may have forgotten locks, and none of them knows the longest ttl; ` +
    `they wait for ${silent.join(", ")}, at most ${Math.ceil(remaining / 60_000)} min ` +
    `(to end the wait, start a server there; it may be new and empty)`
  );
}

function describeOtherMaxTtl(own: number, known: number): string {
  return (
    `maxTtl is ${own} ms here, and the masters know of ${known} ms: set the same maxTtl for all clients of a prefix. ` +
    "The longer one counts for quarantines, and takes effect once all masters know it"
  );
}
