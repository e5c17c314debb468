import type { ConflictPolicy, LockPolicies } from "../../../src/bullmq/options.ts";
import type { RedlockOptions } from "../../../src/redlock/options.ts";
import { type FaultPlan, NO_FAULTS } from "../faults.ts";

/** A queue, and how it is served. */
export interface QueuePlan {
  readonly server: string;
  readonly name: string;
  /** What it is after the first second until `until`: paused; or without workers, whose processes have died. */
  readonly absent?: { readonly how: "paused" | "no workers"; readonly until: number };
}

/** A kind of job. */
export interface JobPlan {
  readonly count: number;
  /** The shared keys it picks from; `own` for a key of its own. */
  readonly keys: readonly string[] | "own";
  /** How many of them it takes. @defaultValue 1 */
  readonly keysEach?: readonly number[];
  /** When they are added, in ms, evenly. @defaultValue all at once */
  readonly over?: number;
  /** The queue of all of them. @defaultValue one at random for each */
  readonly queue?: number;
  readonly priorities?: readonly number[];
  /** Within how many ms each must be done. */
  readonly within?: number;
  /** By how many ms, at most, the time of a job is before it is added. @defaultValue 0 */
  readonly shuffled?: number;
  /** Share of runs that fail, and are tried again. */
  readonly failing?: number;
  /** Milliseconds until they are tried again. @defaultValue 0 */
  readonly backoff?: number;
  /** Whether a job that fails asks for another of the keys at its next attempt. @defaultValue false */
  readonly moving?: boolean;
}

/** Queues, their jobs, their workers, and what goes wrong. Durations are ms. */
export interface JobScenario {
  readonly name: string;
  readonly masters: number;
  readonly queues: readonly QueuePlan[];
  /** The queues that each process serves. */
  readonly processes: readonly (readonly number[])[];
  readonly slots: number;
  readonly jobs: readonly JobPlan[];
  readonly policy: ConflictPolicy;
  /** A function says the policy, after the conflict: a job then joins its wait list only when it is parked. */
  readonly chooses?: boolean;
  readonly policies?: Pick<
    LockPolicies<never>,
    "maxWait" | "onMaxWait" | "onUnavailable" | "minHold" | "waitTimeout" | "order" | "retryOrder"
  >;
  /** How many holders a key may have: each job takes one of these limits. @defaultValue 1 */
  readonly limits?: readonly number[];
  /** From then on, in ms, every job takes another limit. */
  readonly raised?: { readonly at: number; readonly limit: number };
  /** How long a job holds its key, at most; at least a fifth of it. */
  readonly hold: number;
  readonly faults: FaultPlan;
  /** When faults end. */
  readonly duration: number;
  readonly options: Omit<RedlockOptions, "nodes">;
  /** Each process reaches all masters but one, another one each. */
  readonly blind?: boolean;
  /** Messages of channels do not arrive. */
  readonly deaf?: boolean;
  /** Share of the commands that jobs send to their queue which fail with their connection. */
  readonly queueLoss?: number;
  /** Processes are closed in good order, or with `kills` half of them killed, and started anew: one each so many ms. */
  readonly deploys?: { readonly every: number; readonly away?: number; readonly kills?: boolean };
  /** Share of the parkings after which the process dies, before it has said so; it is started anew three seconds later. */
  readonly diesParking?: number;
  /**
   * A program without workers takes one of the keys, for so many ms at most, and pauses for so many at most. With `wakes` it takes
   * none, and asks for the first waiter of a key to be woken.
   */
  readonly outsider?: {
    readonly keys: readonly string[];
    readonly holds: number;
    readonly pauses: number;
    readonly wakes?: true;
  };
  /** The masters are restarted empty, one at a time: so often, in ms. */
  readonly restarts?: number;
  /** People remove parked jobs, give all of them other keys, promote all, or empty the queue's Redis: so often, in ms. */
  readonly meddling?: {
    readonly remove?: number;
    readonly move?: number;
    readonly promote?: number;
    readonly empty?: number;
  };
  /** How long a job may be parked on a free key while the process that parked it lives. */
  readonly probeBound: number;
  /** The same where that process is gone, and another one has looked after the queue for a while. @defaultValue three seconds */
  readonly settledBound?: number;
  /** Most activations for each attempt, on average; `undefined` where faults cause more. */
  readonly activations?: number;
  /** Whether jobs must start in the order of their queue: those that have been parked, or also those that workers have. */
  readonly ordered?: boolean | "strictly";
}

/** Short locks, so that backstops come soon. */
const OPTIONS = { ttl: 2_000, nodeTimeout: 50, clockSkewBudget: 500 } as const;

const ONE: readonly QueuePlan[] = [{ server: "queue-1", name: "jobs" }];
export const TWO: readonly QueuePlan[] = [
  { server: "queue-1", name: "jobs" },
  { server: "queue-2", name: "mails" },
];

/** Without faults: a hand-over is a matter of round trips. */
const PROMPT = 150;
/** With faults: two reservations that expire, and the check after each. */
const PROBE = 2 * 2_100 + 1_000;

/** Jobs on free keys, behind the first activations of 60 jobs on a taken one. */
const COLD = 300;
/** Jobs with several keys, each of which is taken three quarters of the time. */
const PATIENT = 1_200;

const BASE: Omit<JobScenario, "name"> = {
  masters: 3,
  queues: ONE,
  processes: [[0], [0], [0]],
  slots: 4,
  jobs: [{ count: 40, keys: ["a", "b"] }],
  policy: "delay",
  hold: 20,
  faults: NO_FAULTS,
  duration: 0,
  options: OPTIONS,
  probeBound: PROBE,
};

const NETWORK = { loss: 0.02, duplication: 0.02, slow: 0.01 };
const EVERYTHING: Partial<FaultPlan> = {
  ...NETWORK,
  partition: 3_000,
  freeze: 4_000,
  kill: 4_000,
  pause: 4_000,
  crashEmpty: 8_000,
  crashKeep: 8_000,
};
/** Jobs that come for as long as things go wrong. */
const STREAM: JobPlan = { count: 180, keys: ["a", "b", "c"], over: 30_000 };
/** Jobs on keys that others hold for long, and jobs that keep the workers at work. */
const DEPLOYED: JobPlan = { count: 240, keys: ["a", "b", "c", "d"], over: 55_000 };
const OTHERS: JobPlan = { count: 400, keys: "own", over: 90_000 };
/** Jobs of which the newest one wins; they arrive in no order. */
const NEWEST: Partial<JobScenario> = {
  jobs: [{ count: 240, keys: ["a", "b", "c"], over: 30_000, failing: 0.2, shuffled: 2_000 }],
  hold: 200,
};
const MULTI: JobPlan = { count: 40, keys: ["a", "b", "c", "d"], keysEach: [2, 3] };

function scenario(name: string, more: Partial<JobScenario>): JobScenario {
  return { ...BASE, name, ...more };
}

function faulty(
  name: string,
  faults: Partial<FaultPlan>,
  more: Partial<JobScenario> = {},
): JobScenario {
  return scenario(name, {
    jobs: [STREAM],
    duration: 30_000,
    hold: 500,
    faults: { ...NO_FAULTS, ...faults },
    ...more,
  });
}

/** No job starts before an earlier job of its key and queue, whichever living worker has taken that up. */
const STRICT: Partial<JobScenario> = {
  policies: { order: "strict" },
  ordered: "strictly",
  probeBound: PROBE,
};

/** No job of a key starts between a failed or killed attempt and its repetition. */
const KEPT: Partial<JobScenario> = {
  policies: { retryOrder: "keep" },
  jobs: [
    { count: 120, keys: ["a", "b"], over: 30_000, failing: 0.3 },
    { count: 60, keys: ["a", "b"], over: 30_000, failing: 0.3, backoff: 700 },
  ],
  hold: 150,
};

const CALM = { probeBound: PROMPT, activations: 2, ordered: true } as const;

/** Several holders a key: their order is that of the reservations, not of the starts. */
const LIMITED = { ...CALM, ordered: false } as const;
/** As many jobs as keep two slots of each key taken. */
const CROWD: JobPlan = { ...STREAM, count: 300 };

/** Most of the jobs are parked before a worker takes them up. */
const BACKLOG: readonly JobPlan[] = [
  { count: 150, keys: ["a", "b"] },
  { count: 150, keys: ["a", "b"], over: 2_000 },
];

/** Every scenario of the suite. In none may there be a violation. */
export const JOB_SCENARIOS: readonly JobScenario[] = [
  scenario("nothing goes wrong", CALM),
  scenario("1 ms holders", { ...CALM, hold: 1, jobs: [{ count: 150, keys: ["a"] }] }),
  scenario("1 ms holders, one after the other", {
    ...CALM,
    ordered: false,
    hold: 1,
    probeBound: 60,
    jobs: [{ count: 300, keys: ["a"], over: 2_000 }],
  }),
  scenario("a pair of 1 ms holders", {
    ...CALM,
    processes: [[0], [0]],
    slots: 1,
    hold: 1,
    probeBound: 60,
    jobs: [{ count: 2, keys: ["a"] }],
  }),
  scenario("a hot key among cold ones", {
    ...CALM,
    jobs: [
      { count: 60, keys: ["hot"] },
      { count: 60, keys: "own", within: COLD },
    ],
  }),
  scenario("priorities", { ...CALM, jobs: [{ count: 60, keys: ["a"], priorities: [0, 1, 2, 2] }] }),
  scenario("strict order", {
    ...STRICT,
    jobs: [{ count: 300, keys: ["a", "b", "c"], over: 3_000 }],
  }),
  scenario("strict order, of many at once", {
    ...STRICT,
    jobs: [{ count: 150, keys: ["a", "b"] }],
  }),
  scenario("strict order, priorities", {
    ...STRICT,
    jobs: [{ count: 60, keys: ["a"], priorities: [1, 2, 2] }],
  }),
  scenario("strict order, deploys", {
    ...STRICT,
    jobs: [STREAM],
    hold: 300,
    duration: 30_000,
    probeBound: PROBE,
    deploys: { every: 1_500, away: 1_000, kills: true },
  }),
  scenario("strict order, a master loses its memory", {
    ...STRICT,
    slots: 20,
    // It knows no waiter that came before its guard: for as long as that takes, other masters must decide.
    jobs: [{ count: 900, keys: ["a", "b", "c", "d", "e", "f"], over: 4_500 }],
    hold: 20,
    options: { ...OPTIONS, nodeTimeout: 400 },
    duration: 3_000,
    restarts: 2_000,
  }),
  scenario("strict order, several keys", {
    policies: { order: "strict" },
    jobs: [{ count: 300, keys: ["a", "b", "c", "d", "e"], keysEach: [2], over: 3_000 }],
    hold: 50,
    // A job that other jobs put into a wait list, and that has left it, has no reservation there.
    probeBound: 1_000,
  }),
  faulty("strict order, a bad network", NETWORK, { policies: { order: "strict" } }),
  scenario("failing jobs", {
    ...CALM,
    // A retry comes before the job that was next, which may have been woken together with the release.
    activations: 2.1,
    ordered: false,
    jobs: [{ count: 40, keys: ["a", "b"], failing: 0.3 }],
  }),
  scenario("kept retries", KEPT),
  scenario("kept retries, two queues", { ...KEPT, queues: TWO, processes: [[0], [1], [0, 1]] }),
  scenario("kept retries, strict order", {
    ...KEPT,
    policies: { retryOrder: "keep", order: "strict" },
  }),
  scenario("kept retries, several keys", {
    ...KEPT,
    jobs: [{ ...MULTI, over: 10_000, failing: 0.3, backoff: 300 }],
    probeBound: 3 * 2_000 + PROBE,
  }),
  scenario("kept retries, people remove jobs", {
    ...KEPT,
    queues: TWO,
    processes: [[0], [1]],
    meddling: { remove: 400 },
  }),
  scenario("kept retries, deploys", {
    ...KEPT,
    duration: 40_000,
    deploys: { every: 1_500, away: 1_000, kills: true },
  }),
  scenario("kept retries, deploys, two queues", {
    ...KEPT,
    queues: TWO,
    processes: [[0], [1], [0, 1]],
    duration: 40_000,
    deploys: { every: 1_500, away: 1_000, kills: true },
  }),
  faulty("kept retries, masters are restarted", { crashKeep: 4_000, crashEmpty: 8_000 }, KEPT),
  faulty("kept retries, a bad network", { ...NETWORK, partition: 3_000, kill: 4_000 }, KEPT),
  scenario("kept retries ask for other keys", {
    policies: { retryOrder: "keep" },
    jobs: [
      { count: 120, keys: ["a", "b", "c"], over: 20_000, failing: 0.3, backoff: 200, moving: true },
    ],
    hold: 150,
    probeBound: PROBE,
  }),
  scenario("people give kept retries other keys", {
    policies: { retryOrder: "keep" },
    jobs: [{ count: 120, keys: ["a", "b", "c"], over: 20_000, failing: 0.3, backoff: 700 }],
    hold: 150,
    meddling: { move: 1_000 },
    // A kept key is checked every two seconds, and one may wait for another.
    probeBound: 3 * 2_000 + PROBE,
  }),
  scenario("people give parked jobs other keys", {
    jobs: [{ count: 200, keys: ["a", "b", "c"], over: 4_000 }],
    hold: 60,
    meddling: { move: 1_500 },
    probeBound: 2_500,
  }),
  scenario("two queues", {
    ...CALM,
    queues: TWO,
    processes: [[0], [1], [0, 1]],
    jobs: [{ count: 100, keys: ["a", "b"], over: 600 }],
  }),
  scenario("two queues, no process serves both", {
    ...CALM,
    queues: TWO,
    processes: [[0], [1], [1]],
    jobs: [{ count: 100, keys: ["a", "b"], over: 600 }],
  }),
  scenario("two queues, one master", {
    ...CALM,
    masters: 1,
    queues: TWO,
    processes: [[0], [1], [1]],
    jobs: [{ count: 100, keys: ["a"], over: 1_000 }],
  }),
  scenario("two queues, deaf", { queues: TWO, processes: [[0], [1], [1]], deaf: true }),
  scenario("a paused queue", {
    queues: [{ ...TWO[0]!, absent: { how: "paused", until: 60_000 } }, TWO[1]!],
    processes: [[0, 1], [0], [1]],
    jobs: [{ count: 60, keys: ["a", "b"], over: 5_000 }],
    hold: 300,
  }),
  scenario("a queue whose workers are away", {
    queues: [{ ...TWO[0]!, absent: { how: "no workers", until: 60_000 } }, TWO[1]!],
    processes: [[0], [1], [1]],
    jobs: [{ count: 60, keys: ["a", "b"], over: 5_000 }],
    hold: 300,
  }),
  scenario("several keys", { jobs: [MULTI], probeBound: 600 }),
  scenario("several keys among single ones", {
    hold: 60,
    jobs: [
      { count: 10, keys: ["a", "b", "c"], keysEach: [2, 3], within: PATIENT },
      { count: 300, keys: ["a", "b", "c"], over: 6_000 },
    ],
    probeBound: 600,
  }),
  scenario("several keys, promptly", {
    jobs: [{ ...MULTI, count: 12 }],
    probeBound: 1_000,
  }),
  scenario("several keys, masters far away", {
    jobs: [{ count: 60, keys: ["a", "b", "c"], keysEach: [1, 2] }],
    slots: 16,
    hold: 60,
    faults: { ...NO_FAULTS, distance: 30 },
    options: { ...OPTIONS, nodeTimeout: 200 },
    probeBound: 4_000,
    activations: 3.2,
  }),
  scenario("several keys, several queues", {
    jobs: [MULTI, { count: 40, keys: ["a", "b", "c", "d"] }],
    queues: TWO,
    processes: [[0], [1], [0, 1]],
    probeBound: 1_000,
  }),
  scenario("wait", { policy: "wait", probeBound: PROMPT }),
  scenario("wait, and then be parked", {
    policy: "wait",
    policies: { waitTimeout: 300 },
    hold: 300,
    probeBound: PROMPT,
  }),
  // Jobs that wait in their slots leave none to those that have been parked.
  scenario("wait, and then be parked, two queues", {
    policy: "wait",
    policies: { waitTimeout: 1_000 },
    queues: TWO,
    processes: [[0, 1], [0]],
    slots: 10,
    jobs: [
      { count: 250, keys: ["a", "b"], queue: 0 },
      { count: 100, keys: ["a", "b"], queue: 1, priorities: [1] },
    ],
    probeBound: PROMPT,
  }),
  scenario("keepLatest", { policy: "keepLatest", probeBound: PROMPT }),
  scenario("keepLatest, of many at once", {
    policy: "keepLatest",
    processes: [[0]],
    slots: 60,
    jobs: [{ count: 200, keys: ["a"] }],
    probeBound: PROMPT,
  }),
  scenario("cancelInProgress", { policy: "cancelInProgress", probeBound: PROMPT, hold: 200 }),
  ...(["keepLatest", "cancelInProgress"] as const).flatMap((policy) => [
    scenario(`${policy}, some fail`, { ...NEWEST, policy }),
    scenario(`${policy}, deploys`, {
      ...NEWEST,
      policy,
      duration: 60_000,
      deploys: { every: 1_500, away: 1_000, kills: true },
    }),
    faulty(`${policy}, a bad network`, NETWORK, { ...NEWEST, policy }),
    faulty(`${policy}, one master away`, { freeze: 4_000, kill: 6_000 }, { ...NEWEST, policy }),
  ]),
  scenario("minHold", { policies: { minHold: 120 }, probeBound: PROMPT }),
  scenario("maxWait", {
    policies: { maxWait: 200, onMaxWait: "skip" },
    jobs: [STREAM],
    hold: 500,
    duration: 30_000,
  }),
  scenario("processes are restarted in good order", {
    jobs: [STREAM],
    hold: 500,
    duration: 30_000,
    deploys: { every: 1_500 },
  }),
  scenario("deploys", {
    jobs: [DEPLOYED, OTHERS],
    hold: 300,
    duration: 60_000,
    deploys: { every: 2_500, away: 4_000, kills: true },
    outsider: { keys: ["a", "b", "c", "d"], holds: 6_000, pauses: 2_000 },
  }),
  scenario("deploys of the only process", {
    processes: [[0]],
    jobs: [DEPLOYED, OTHERS],
    hold: 300,
    duration: 60_000,
    deploys: { every: 6_000, away: 6_000, kills: true },
    outsider: { keys: ["a", "b", "c", "d"], holds: 6_000, pauses: 2_000 },
  }),
  scenario("deploys, two queues", {
    queues: TWO,
    processes: [[0, 1], [0], [1]],
    jobs: [DEPLOYED, OTHERS],
    hold: 300,
    duration: 60_000,
    deploys: { every: 2_500, away: 4_000, kills: true },
    outsider: { keys: ["a", "b", "c", "d"], holds: 6_000, pauses: 2_000 },
  }),
  scenario("deploys, two queues in one process", {
    queues: TWO,
    processes: [[0, 1]],
    jobs: [{ ...DEPLOYED, count: 400, over: 10_000 }, OTHERS],
    hold: 100,
    duration: 60_000,
    deploys: { every: 8_000, away: 1_000 },
  }),
  scenario("deploys, two queues with a backlog", {
    queues: TWO,
    processes: [[0], [1]],
    jobs: [
      { count: 400, keys: ["a", "b"], over: 500 },
      { ...OTHERS, over: 30_000 },
    ],
    hold: 60,
    duration: 4_000,
    settledBound: 500,
    deploys: { every: 3_000, away: 500, kills: true },
  }),
  // The jobs of the second queue wait behind all of the first.
  scenario("deploys, a queue behind another one", {
    queues: TWO,
    processes: [[0], [1]],
    slots: 300,
    jobs: [
      { count: 100, keys: ["a"], queue: 0 },
      { count: 40, keys: ["a"], queue: 1, priorities: [1] },
    ],
    hold: 60,
    probeBound: 2_000,
    duration: 4_000,
    deploys: { every: 3_000, away: 500, kills: true },
  }),
  scenario("deploys, long locks", {
    jobs: [{ count: 12, keys: ["a"], over: 58_000 }, OTHERS],
    hold: 300,
    duration: 60_000,
    options: { ...OPTIONS, ttl: 10_000 },
    deploys: { every: 1_000, away: 500 },
    outsider: { keys: ["a"], holds: 9_000, pauses: 9_000 },
  }),
  // A process that frees a key cannot ask the queue of the waiters, and their alarms are far away.
  scenario("processes die as they park, no process serves both queues", {
    queues: TWO,
    processes: [[0], [1]],
    jobs: [{ count: 300, keys: ["a", "b"], over: 60_000 }, OTHERS],
    hold: 300,
    duration: 60_000,
    options: { ...OPTIONS, ttl: 20_000 },
    diesParking: 0.1,
  }),
  scenario("deploys, nothing else to do", {
    jobs: [{ ...DEPLOYED, over: 30_000 }],
    hold: 300,
    duration: 60_000,
    deploys: { every: 2_500, away: 500, kills: true },
    outsider: { keys: ["a", "b", "c", "d"], holds: 12_000, pauses: 500 },
  }),
  scenario("deploys, deaf", {
    deaf: true,
    jobs: [DEPLOYED, OTHERS],
    hold: 300,
    duration: 60_000,
    deploys: { every: 2_500, away: 4_000, kills: true },
    outsider: { keys: ["a", "b", "c", "d"], holds: 6_000, pauses: 2_000 },
  }),
  scenario("connections to the queue break", {
    jobs: [STREAM],
    hold: 500,
    duration: 30_000,
    queueLoss: 0.05,
  }),
  scenario("connections to a quiet queue break", {
    processes: [[0], [0]],
    slots: 2,
    jobs: [{ count: 30, keys: ["a"], over: 290_000 }],
    hold: 12_000,
    duration: 300_000,
    options: { ...OPTIONS, ttl: 10_000 },
    queueLoss: 0.06,
  }),
  scenario("each process lacks another master", {
    blind: true,
    jobs: [STREAM],
    hold: 500,
    duration: 60_000,
  }),
  scenario("an operator wakes waiters all the time", {
    jobs: [STREAM],
    hold: 400,
    ...CALM,
    outsider: { keys: ["a", "b", "c"], holds: 0, pauses: 100, wakes: true },
  }),
  scenario("people meddle", {
    jobs: [STREAM],
    hold: 500,
    meddling: { remove: 500, promote: 3_000 },
  }),
  scenario("masters are restarted empty, one at a time", {
    jobs: [{ count: 60, keys: ["a", "b"] }],
    hold: 100,
    duration: 30_000,
    restarts: 4_000,
    ordered: true,
    outsider: { keys: ["a", "b"], holds: 14_000, pauses: 10 },
  }),
  scenario("queues lose their data, deploys", {
    jobs: [DEPLOYED, OTHERS],
    hold: 600,
    duration: 60_000,
    deploys: { every: 2_500, away: 4_000 },
    meddling: { empty: 5_000 },
    probeBound: 6_000,
    settledBound: 6_000,
  }),
  scenario("two holders a key", { ...LIMITED, limits: [2] }),
  scenario("two holders a key, 1 ms each", {
    ...LIMITED,
    limits: [2],
    hold: 1,
    jobs: [{ count: 150, keys: ["a"] }],
  }),
  scenario("five holders a key, two queues", {
    ...LIMITED,
    limits: [5],
    queues: TWO,
    processes: [[0], [1], [0, 1]],
    jobs: [{ count: 100, keys: ["a", "b"], over: 600 }],
  }),
  scenario("limits differ", { limits: [1, 2, 3], jobs: [{ count: 100, keys: ["a", "b"] }] }),
  scenario("a limit is raised", {
    limits: [2],
    raised: { at: 1_000, limit: 6 },
    jobs: [{ count: 200, keys: ["a"] }],
    hold: 150,
    // All jobs are parked soon, few come back by themselves, and none is taken up by another process than it was woken by.
    processes: [[0]],
    slots: 200,
    options: { ...OPTIONS, ttl: 60_000 },
    probeBound: 7_000,
  }),
  scenario("a limit is raised, processes die", {
    limits: [1, 2],
    raised: { at: 5_000, limit: 4 },
    jobs: [CROWD],
    hold: 300,
    duration: 30_000,
    deploys: { every: 2_500, away: 1_000, kills: true },
    probeBound: 7_000,
  }),
  scenario("two holders a key, a paused queue", {
    limits: [2],
    queues: [{ ...TWO[0]!, absent: { how: "paused", until: 60_000 } }, TWO[1]!],
    processes: [[0, 1]],
    jobs: [{ count: 20, keys: ["a"] }],
    hold: 1_500,
    // One reservation that expires.
    probeBound: 2_600,
  }),
  scenario("two holders a key, wait", { limits: [2], policy: "wait", probeBound: PROMPT }),
  scenario("two holders a key, minHold", {
    limits: [2],
    policies: { minHold: 120 },
    probeBound: PROMPT,
  }),
  scenario("two holders a key, keepLatest", {
    limits: [2],
    policy: "keepLatest",
    probeBound: PROMPT,
  }),
  scenario("two holders a key, several keys", {
    limits: [2],
    jobs: [MULTI],
    probeBound: 600,
  }),
  scenario("two holders a key, several keys among single ones", {
    limits: [2],
    hold: 60,
    jobs: [
      { count: 10, keys: ["a", "b", "c"], keysEach: [2, 3], within: 2 * PATIENT },
      { count: 300, keys: ["a", "b", "c"], over: 3_000 },
    ],
    probeBound: 600,
  }),
  scenario("two holders a key, deploys", {
    limits: [2],
    jobs: [DEPLOYED, OTHERS],
    hold: 600,
    duration: 60_000,
    deploys: { every: 2_500, away: 4_000, kills: true },
    outsider: { keys: ["a", "b", "c", "d"], holds: 6_000, pauses: 2_000 },
  }),
  faulty("two holders a key, bad network", NETWORK, { limits: [2], jobs: [CROWD] }),
  faulty(
    "limits differ, processes die",
    { kill: 3_000, loss: 0.01 },
    { limits: [1, 3], jobs: [CROWD] },
  ),
  faulty("two holders a key, everything", EVERYTHING, {
    limits: [2],
    jobs: [CROWD],
    queues: TWO,
    processes: [[0], [1], [0, 1]],
  }),
  scenario("a backlog", { ...CALM, jobs: [...BACKLOG, { count: 30, keys: "own" }] }),
  scenario("a backlog, two holders a key", { ...LIMITED, limits: [2], jobs: BACKLOG }),
  faulty("a backlog, bad network", NETWORK, { jobs: BACKLOG, hold: 50, queueLoss: 0.05 }),
  faulty("a backlog, processes die", { kill: 2_000, loss: 0.01 }, { jobs: BACKLOG, hold: 50 }),
  faulty("a backlog, everything", EVERYTHING, {
    queues: TWO,
    processes: [[0], [1], [0, 1]],
    jobs: BACKLOG,
    hold: 50,
  }),
  scenario("jobs run without a lock while most masters lose their memory", {
    policies: { onUnavailable: "run" },
    jobs: [{ count: 600, keys: ["a", "b"], over: 20_000 }],
    hold: 60,
    duration: 20_000,
    restarts: 1_800,
    probeBound: 300,
  }),
  faulty("bad network", NETWORK),
  faulty("bad network, two queues", NETWORK, { queues: TWO, processes: [[0], [1], [0, 1]] }),
  faulty("partitions and frozen masters", { partition: 2_000, freeze: 4_000 }),
  faulty("moments without any master", { outage: 200 }),
  faulty("moments without any master, a chosen policy", { outage: 200 }, { chooses: true }),
  faulty("processes die", { kill: 3_000 }),
  faulty(
    "processes die, two queues",
    { kill: 3_000, loss: 0.01 },
    {
      queues: TWO,
      processes: [[0], [1], [0, 1]],
    },
  ),
  faulty("processes pause", { pause: 2_000 }),
  faulty("masters forget", { crashEmpty: 4_000, flush: 4_000, crashKeep: 4_000 }),
  faulty("everything", EVERYTHING, { queues: TWO, processes: [[0], [1], [0, 1]] }),
  faulty(
    "everything, several keys",
    { ...NETWORK, partition: 3_000, freeze: 4_000, kill: 4_000, crashKeep: 8_000 },
    { jobs: [{ ...MULTI, count: 80, over: 30_000 }], probeBound: 3 * 2_000 + PROBE },
  ),
];

/** How many holders the keys of a job may have. */
export function limitOf(
  { limits = [1], raised }: JobScenario,
  id: string | undefined,
  now: number,
): number {
  if (raised !== undefined && now >= raised.at) return raised.limit;
  return limits[Number(id) % limits.length] ?? 1;
}

/** The seed of each scenario that the suite runs; `npm run soak` runs others, for a given time. */
export const SUITE_SEED = 0;

/** Scenes so small that every single fault in them is tried. */
export const SMALL_SCENES: readonly JobScenario[] = [
  scenario("one key", { processes: [[0], [0]], slots: 2, jobs: [{ count: 4, keys: ["a"] }] }),
  scenario("kept retries", {
    processes: [[0], [0]],
    slots: 2,
    policies: { retryOrder: "keep" },
    jobs: [{ count: 3, keys: ["a"], failing: 0.3, backoff: 200 }],
  }),
  scenario("two queues", {
    queues: TWO,
    processes: [[0], [1]],
    slots: 2,
    jobs: [{ count: 4, keys: ["a"] }],
  }),
  scenario("two keys", {
    processes: [[0], [0]],
    slots: 2,
    jobs: [{ count: 3, keys: ["a", "b"], keysEach: [1, 2] }],
  }),
];
