import { mkdtemp, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRedisNodes, type RedisNodes } from "../../src/testing/index.ts";
import { TcpProxy } from "../support/tcp-proxy.ts";
import { WorkerProcesses } from "./worker-processes.ts";
import { type JobReport, Jobs } from "./jobs.ts";
import { Journal, monotonic, readJournals } from "./journal.ts";
import type { Verdict } from "./judge.ts";
import { type Contender, NODE_TIMEOUT } from "./lock-client.ts";
import { Nemesis } from "./nemesis.ts";
import { makeSchedule } from "./schedule.ts";
import { Witness } from "./witness.ts";

const MASTERS = 5;
const WORKERS = 4;
/** Locks that each worker wants at the same time. */
const TASKS = 3;
const KEYS = ["account:1", "account:2", "account:3", "account:4"];
const TTL = 1_000;
/** Milliseconds for which a lock is waited for. */
const PATIENCE = 500;
/**
 * Within so many ms after the end of the faults every key must be granted: two ttls, a quarantine and a new connection on an idle
 * machine. The simulation asserts when; here it must come at all, however busy the machine is.
 */
const FREE_WITHIN = 60_000;
/** Rounds of an acquisition beyond its wait: a split is tried again eight times. */
const ROUNDS = 10;
/** For so long a new client waits for its first connections before it says that it has no lock. */
const FIRST_CONNECTION = 2_000;
/** Milliseconds for which a call may wait for a connection, and then for an answer. */
const ROUND = 2 * NODE_TIMEOUT;
/** A deadline is noticed a few ticks late. */
const LATENESS = 50;

/** What a run came to. */
export interface Report extends Verdict {
  readonly contender: Contender;
  /** Of a run with jobs. */
  readonly jobs: JobReport | undefined;
  readonly seed: number;
  readonly faults: Nemesis["counts"];
}

/** What is to be run. */
export interface ChaosOptions {
  readonly contender: Contender;
  readonly seed: number;
  /** Milliseconds of faults; a few seconds more are needed to see that everything is well again. */
  readonly ms: number;
  /** See the schedule. Default 10,000. */
  readonly sweepEvery?: number;
  /** Workers of a queue and `withLock`, in place of locks that a program takes by itself. Default `false`. */
  readonly jobs?: boolean;
  /** `false` to end with the faults, for a run that has nothing to show after them. Default `true`. */
  readonly calms?: boolean;
}

/** Runs one contender under the faults of one seed. */
export async function runChaos(options: ChaosOptions): Promise<Report> {
  // One more, for copies.
  await using nodes = await startRedisNodes(MASTERS + 1, {
    persistence: "always",
    args: ["--repl-diskless-sync-delay", "0"],
  });
  // No fault touches it.
  await using queue = options.jobs === true ? await startRedisNodes(1) : undefined;
  const folder = await mkdtemp(join(tmpdir(), "bullmq-redlock-chaos-"));
  const links = await Promise.all(
    Array.from({ length: WORKERS }, async () => {
      return await Promise.all(
        nodes.ports.slice(0, MASTERS).map(async (port) => await TcpProxy.start(port)),
      );
    }),
  );
  try {
    return await runOn({ nodes, links, folder, queueUrl: queue?.urls[0] }, options);
  } finally {
    await Promise.all(links.flat().map(async (link) => await link.stop()));
    await rm(folder, { recursive: true, force: true });
  }
}

interface Ground {
  readonly nodes: RedisNodes;
  readonly links: readonly (readonly TcpProxy[])[];
  readonly folder: string;
  readonly queueUrl: string | undefined;
}

async function runOn(
  { nodes, links, folder, queueUrl }: Ground,
  { contender, seed, ms, sweepEvery = 10_000, calms = true }: ChaosOptions,
): Promise<Report> {
  const socket = join(folder, "resource.sock");
  await using witness = await Witness.start({ folder, socket, keys: KEYS, bound: FREE_WITHIN });
  await using jobs = queueUrl === undefined ? undefined : new Jobs(queueUrl, KEYS);
  const journal = new Journal(folder, "nemesis");
  const tasks = links.map((proxies) => ({
    contender,
    queueUrl,
    urls: proxies.map(({ url }) => url),
    keys: KEYS,
    terms: { ttl: TTL, heartbeat: Math.round(TTL / 3), patience: PATIENCE },
    tasks: TASKS,
    bounds: {
      acquire: FIRST_CONNECTION + PATIENCE + ROUNDS * ROUND + LATENESS,
      release: ROUND + LATENESS,
    },
    folder,
    socket,
  }));
  await using workers = await WorkerProcesses.start(tasks, journal);
  await workers.allWork();
  using nemesis = new Nemesis({ nodes, links, workers });
  const terms = { masters: MASTERS, workers: WORKERS, ms, sweepEvery };
  await nemesis.run(makeSchedule(seed, terms));
  if (calms) {
    const calmAt = monotonic();
    journal.write({ what: "calm", at: calmAt });
    await untilAllGranted(folder, calmAt);
  }
  const jobReport = await jobs?.finish();
  await workers.end();
  const verdict = await witness.judge();
  return { contender, seed, faults: nemesis.counts, jobs: jobReport, ...verdict };
}

/** Resolves when each key was granted again, or should have been. */
async function untilAllGranted(folder: string, calmAt: number): Promise<void> {
  while (monotonic() < calmAt + FREE_WITHIN) {
    await delay(200);
    const granted = readJournals(folder).flatMap((entry) =>
      entry.what === "entered" && entry.at > calmAt ? [entry.key] : [],
    );
    if (KEYS.every((key) => granted.includes(key))) return;
  }
}
