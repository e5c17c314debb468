import type { Job, Processor } from "bullmq";
import { withLock } from "../../../src/bullmq/with-lock.ts";
import type { Random } from "../../../src/random.ts";
import { RedlockOn } from "../../../src/redlock/redlock.ts";
import { slotName } from "../../../src/lock/slots.ts";
import { seededRandom } from "../../support/simulated-redlock.ts";
import { Faults } from "../faults.ts";
import { Host } from "../host.ts";
import { Nemesis } from "../nemesis.ts";
import { Server, Wire } from "../network.ts";
import { Timeline } from "../timeline.ts";
import { JobOracle, type JobViolation } from "./oracle.ts";
import {
  anotherKey,
  scheduleAbsences,
  scheduleDeploys,
  scheduleMeddling,
  scheduleRestarts,
  shutDown,
} from "./operators.ts";
import { scheduleOutsider } from "./outsider.ts";
import { JobQueue } from "./queue.ts";
import { type JobScenario, limitOf } from "./scenarios.ts";
import { SimulatedWorker } from "./worker.ts";
import type { Process, World } from "./world.ts";
import { withoutTraces } from "../without-traces.ts";

/** What a run came to. */
export interface JobReport {
  seed: number;
  disturbance: Disturbance;
  jobs: number;
  activations: number;
  runs: number;
  /** When the last job was done, in ms. */
  makespan: number;
  longestWait: JobOracle["longestWait"];
  violations: Partial<Record<JobViolation, number>>;
  faults: Record<string, number>;
  examples: string[];
  /** What the first process has seen, and messages: what can be disturbed. */
  steps: number;
  messages: number;
}

/** One fault at an exact step. */
export interface Disturbance {
  /** The first process dies at this step. */
  readonly diesAt?: number;
  /** The first process is closed in good order from this step on. */
  readonly closesAt?: number;
  /** This message is late. */
  readonly late?: { readonly message: number; readonly ms: number };
}

/** Milliseconds a command to a queue is under way, at most. */
const QUEUE_LATENCY = 1;
/** Milliseconds after the last fault within which all jobs must be done. */
const PATIENCE = 400_000;
/** Milliseconds until lines that were left behind have expired. */
const EXPIRY = 960_000;

/** Runs the real wrapper under a scenario, until a violation if one is named. The same seed is the same run. */
export async function simulateJobs(
  scenario: JobScenario,
  seed: number,
  disturbance: Disturbance = {},
  until?: JobViolation,
): Promise<JobReport> {
  return await withoutTraces(async () => await runJobs(scenario, seed, disturbance, until));
}

async function runJobs(
  scenario: JobScenario,
  seed: number,
  disturbance: Disturbance,
  until: JobViolation | undefined,
): Promise<JobReport> {
  const { diesAt, closesAt, late } = disturbance;
  const random = seededRandom(seed * 7_919 + 17);
  const timeline = new Timeline();
  const faults = new Faults(scenario.faults);
  faults.heldBack = late;
  const oracle = new JobOracle(timeline, scenario, until);
  const servers = Array.from(
    { length: scenario.masters },
    (_, i) => new Server(`lock-${i + 1}`, timeline, 1),
  );
  const queues = scenario.queues.map(({ server, name }) => new JobQueue(server, name, timeline));
  const world: World = { scenario, random, timeline, faults, oracle, servers, queues };
  const keys = addJobs(world);
  const processes = scenario.processes.map((serves, index) => begin(world, serves, index));
  const [first] = processes;
  if (first !== undefined && (diesAt !== undefined || closesAt !== undefined)) {
    first.host.diesAt = diesAt ?? Infinity;
    first.host.closesAt = closesAt ?? Infinity;
    first.host.onClose = () => void shutDown(world, first);
    first.host.onDeath = () => {
      oracle.forgive();
      timeline.in(1_000, () => {
        processes[0] = begin(world, scenario.processes[0]!, 0);
      });
    };
  }
  if (scenario.diesParking !== undefined) {
    const reviveAtDeath = (index: number): void => {
      processes[index]!.host.onDeath = () => {
        oracle.forgive();
        // When the reservation of the first waiter has expired.
        timeline.in(3_000, () => {
          processes[index] = begin(world, scenario.processes[index]!, index);
          reviveAtDeath(index);
        });
      };
    };
    for (const index of processes.keys()) reviveAtDeath(index);
  }
  scheduleAbsences(world, processes, (index) => begin(world, scenario.processes[index]!, index));
  scheduleMeddling(world);
  scheduleRestarts(world);
  scheduleDeploys(world, processes, (index) => begin(world, scenario.processes[index]!, index));
  scheduleOutsider(world, (serves) => begin(world, serves, processes.length));
  const replace = (index: number): void => {
    // It may have been killed twice.
    if (processes[index]?.host.dead === false) return;
    oracle.forgive();
    processes[index] = begin(world, scenario.processes[index]!, index);
  };
  const targets = { servers, victims: servers.slice(0, 1), clients: processes, replace };
  const nemesis = new Nemesis(timeline, random, targets, faults, scenario.options.ttl ?? 1_000);
  nemesis.start(scenario.faults);
  oracle.watch(servers, queues, (queue) =>
    processes.some(({ host, serves }) => !host.dead && serves.includes(queues.indexOf(queue))),
  );
  await timeline.runUntil(scenario.duration);
  nemesis.stop();
  const end = timeline.now + PATIENCE;
  while (timeline.now < end && !isOver(world)) await timeline.runUntil(timeline.now + 500);
  oracle.stop();
  const makespan = Math.max(0, ...queues.flatMap(({ ends }) => ends.map(({ at }) => at)));
  // What comes later can disturb no job.
  const [steps, messages] = [processes[0]?.host.steps ?? 0, faults.messages];
  // Of thousands of disturbed runs none is watched while nothing happens.
  const isDisturbed = Object.keys(disturbance).length > 0;
  if (isDisturbed) for (const { host } of processes) host.kill();
  await checkAfterwards(world, keys);
  const jobs = queues.flatMap((queue) => [...queue.jobs.values()]);
  return {
    seed,
    disturbance,
    jobs: jobs.length,
    activations: jobs.reduce((sum, { attemptsStarted }) => sum + attemptsStarted, 0),
    runs: oracle.runs,
    makespan,
    longestWait: oracle.longestWait,
    violations: Object.fromEntries(oracle.violations),
    faults: Object.fromEntries(faults.counts),
    examples: oracle.examples,
    steps,
    messages,
  };
}

/** Without faults nothing may be left at once; else not when lines have expired. */
async function checkAfterwards(world: World, keys: ReadonlySet<string>): Promise<void> {
  const { scenario, timeline, oracle, servers, queues } = world;
  const calm = scenario.activations !== undefined && scenario.blind !== true;
  await timeline.runUntil(timeline.now + (calm ? 5_000 : EXPIRY));
  const asked = (): number => servers.reduce((sum, { requests }) => sum + requests, 0);
  const before = asked();
  await timeline.runUntil(timeline.now + 10_000);
  // Each process that serves a queue asks each master, once a second or a little more often, which keys are due.
  const idle = 13 * servers.length * scenario.processes.length;
  if (asked() - before > idle) oracle.report("chatter", `${asked() - before} in 10 s`);
  oracle.checkEnd(servers, queues, [...keys]);
}

function isOver({ queues, scenario, timeline }: World): boolean {
  const last = Math.max(...scenario.jobs.map(({ over = 0 }) => over));
  return timeline.now > last && queues.every(({ isDone }) => isDone);
}

/** Adds the jobs of all plans, and names the keys they use. */
function addJobs({ scenario, random, timeline, queues }: World): Set<string> {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random.fraction() * from.length)]!;
  const keys = new Set<string>();
  let ids = 0;
  for (const { count, keys: shared, keysEach = [1], over = 0, ...plan } of scenario.jobs) {
    for (let i = 0; i < count; i++) {
      const id = String((ids += 1));
      const picked =
        shared === "own" ? [`own-${id}`] : shuffle(shared, random).slice(0, pick(keysEach));
      for (const key of picked) keys.add(key);
      const priority = pick(plan.priorities ?? [0]);
      const attempts = plan.failing === undefined ? 1 : 20;
      const queue = pick(plan.queue === undefined ? queues : [queues[plan.queue]!]);
      const early = plan.shuffled === undefined ? 0 : plan.shuffled * random.fraction();
      timeline.in((over * i) / count, () => {
        const timestamp = Math.floor(queue.wall - early);
        const { within = Infinity, backoff = 0 } = plan;
        queue.add({ id, keys: picked, priority, attempts, backoff, within, timestamp });
      });
    }
  }
  return keys;
}

function begin(world: World, serves: readonly number[], index: number): Process {
  const { scenario, random, timeline, faults, oracle, servers, queues } = world;
  const host = new Host(timeline, { rate: 1, wallOffset: 0 });
  const wires: Wire[] = [];
  const redlock = new RedlockOn(
    { ...scenario.options, nodes: servers.map((_, i) => `redis://lock-${i + 1}:6379`) },
    {
      clock: host,
      random,
      connect: ({ endpoint, nodeTimeout }) => {
        const wire = new Wire(endpoint.name, servers[wires.length]!, host, {
          timeline,
          random,
          faults,
          nodeTimeout,
          hidden: false,
          deaf: scenario.deaf === true,
        });
        wire.cut = scenario.blind === true && wires.length === index % servers.length;
        wires.push(wire);
        return wire;
      },
    },
  ).on("warning", () => {});
  redlock.on("conflict", ({ keys }) => oracle.conflict(keys));
  redlock.on("parked", ({ job }) => {
    const [, name, id = ""] = job.split(":");
    const queue = queues.find((candidate) => candidate.name === name);
    if (queue !== undefined) oracle.parked(queue, id, host);
    const { diesParking = 0, duration } = scenario;
    if (!host.dead && timeline.now < duration && random.fraction() < diesParking) {
      faults.count("death at parking");
      host.kill();
    }
  });
  const workers = serves.map((served) => makeWorker(world, { host, redlock }, queues[served]!));
  return { host, wires, redlock, serves, workers };
}

function makeWorker(
  world: World,
  { host, redlock }: Pick<Process, "host" | "redlock">,
  queue: JobQueue,
): SimulatedWorker {
  const { scenario, random, timeline, faults, oracle } = world;
  const failing = Math.max(...scenario.jobs.map((plan) => plan.failing ?? 0));
  const moving = scenario.jobs.some((plan) => plan.moving === true);
  const processor = withLock(
    {
      redlock,
      key: (job: Job<{ keys: string[] }>) => {
        oracle.activated(queue, host);
        return job.data.keys;
      },
      ...(scenario.limits === undefined
        ? {}
        : { limit: (job: Job) => limitOf(scenario, job.id, timeline.now) }),
      onConflict: scenario.chooses === true ? () => scenario.policy : scenario.policy,
      ...scenario.policies,
    },
    async (job, _, signal, lock) => {
      // Every slot is a lock of its own.
      const keys = lock.keys.map((key, index) => slotName(key, lock.slots[index] ?? 0));
      const run = oracle.began(queue, job.id ?? "", keys, lock, host);
      const hold = scenario.hold * (0.2 + 0.8 * random.fraction());
      const aborted = await sleep(host, hold, signal);
      const fails = random.fraction() < failing;
      if (fails && moving) await job.updateData({ keys: anotherKey(scenario, random, job.data) });
      oracle.ended(run, keys, !aborted && !fails);
      if (fails) throw new Error("fails now and then");
      if (aborted) throw signal.reason;
      return "done";
    },
  );
  const worker = new SimulatedWorker({
    host,
    timeline,
    random,
    queue,
    slots: scenario.slots,
    processor: processor as Processor,
    latency: QUEUE_LATENCY,
    loss: () => (timeline.now < scenario.duration ? (scenario.queueLoss ?? 0) : 0),
    onLoss: () => faults.count("queue"),
  });
  worker.run();
  return worker;
}

function shuffle<T>(from: readonly T[], random: Random): T[] {
  const keyed = from.map((value) => ({ value, at: random.fraction() }));
  return keyed.sort((a, b) => a.at - b.at).map(({ value }) => value);
}

/** True when the signal aborted first. */
function sleep(host: Host, ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = host.timer(ms, () => resolve(signal.aborted));
    signal.addEventListener(
      "abort",
      () => {
        host.clearTimer(timer);
        resolve(true);
      },
      { once: true },
    );
  });
}
