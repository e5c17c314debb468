import type { Random } from "../../../src/random.ts";
import type { JobQueue, StoredJob } from "./queue.ts";
import type { JobScenario } from "./scenarios.ts";
import type { Process, World } from "./world.ts";

/** Starts the process of that number anew. */
type Begin = (index: number) => Process;

/** When queues are paused, or lose their workers, in ms. */
const ABSENT_FROM = 1_000;
/** What a close may take beyond the jobs that run, in ms. */
const LONGEST_CLOSE = 1_000;

/** Pauses queues, or ends their workers' processes, for a while. */
export function scheduleAbsences(
  { scenario, timeline, queues, oracle }: World,
  processes: Process[],
  begin: Begin,
): void {
  for (const [index, { absent }] of scenario.queues.entries()) {
    const queue = queues[index]!;
    if (absent === undefined) continue;
    const { how, until } = absent;
    const concerned = scenario.processes.flatMap((serves, i) =>
      serves.includes(index) ? [i] : [],
    );
    // Not at once: some of its jobs are to be parked by then.
    timeline.in(ABSENT_FROM, () => {
      if (how === "paused") queue.paused = true;
      else for (const i of concerned) processes[i]?.host.kill();
    });
    timeline.in(until, () => {
      if (how === "paused") return queue.resume();
      oracle.forgive();
      for (const i of concerned) processes[i] = begin(i);
    });
  }
}

/** Removes, changes or promotes jobs, or empties queues, as people do. */
export function scheduleMeddling({ scenario, random, timeline, queues, oracle }: World): void {
  const every = (ms: number | undefined, meddle: (queue: JobQueue) => void): void => {
    if (ms === undefined) return;
    timeline.in(ms * 2 * random.fraction(), () => {
      for (const queue of queues) meddle(queue);
      if (timeline.now < 60_000) every(ms, meddle);
    });
  };
  every(scenario.meddling?.promote, (queue) => queue.promoteAll());
  every(scenario.meddling?.empty, (queue) => queue.empty());
  every(scenario.meddling?.move, (queue) => {
    for (const job of queue.jobs.values()) {
      if (job.state !== "delayed") continue;
      queue.move(job.id, anotherKey(scenario, random, job));
      oracle.moved(queue, job.id);
    }
  });
  every(scenario.meddling?.remove, (queue) => {
    const parked = [...queue.jobs.values()].filter(({ state }) => state === "delayed");
    const victim = parked[Math.floor(random.fraction() * parked.length)];
    if (victim !== undefined) queue.remove(victim.id);
  });
}

/** Another of the shared keys than the first one of a job. */
export function anotherKey(
  { jobs }: JobScenario,
  random: Random,
  { keys: [key] }: Pick<StoredJob, "keys">,
): string[] {
  const all = jobs.flatMap(({ keys }) => (keys === "own" ? [] : keys));
  const others = all.filter((other) => other !== key);
  return others.slice(Math.floor(random.fraction() * others.length)).slice(0, 1);
}

/** Restarts one master after the other, without its data. */
export function scheduleRestarts({ scenario, timeline, servers }: World): void {
  const { restarts, duration } = scenario;
  if (restarts === undefined) return;
  for (let count = 1; count * restarts < duration; count++) {
    const server = servers[count % servers.length]!;
    timeline.in(count * restarts, () => {
      server.crash();
      timeline.in(20, () => server.restart("nothing"));
    });
  }
}

/** Closes a process in the documented order; it is gone then. */
export async function shutDown(
  { scenario, timeline, oracle }: World,
  { workers, redlock, host }: Process,
): Promise<void> {
  const startedAt = timeline.now;
  await Promise.all(workers.map(async (worker) => await worker.close()));
  await redlock.close();
  const took = timeline.now - startedAt;
  if (took > scenario.hold + LONGEST_CLOSE) oracle.report("slow close", `${took.toFixed(0)} ms`);
  host.kill();
}

/** Ends one process after the other, in good order or by a kill, and starts it anew a while later. */
export function scheduleDeploys(world: World, processes: Process[], begin: Begin): void {
  const { scenario, random, timeline, oracle } = world;
  const { every, away = 0, kills = false } = scenario.deploys ?? {};
  if (every === undefined) return;
  const deploy = async (index: number): Promise<void> => {
    const process = processes[index]!;
    if (process.host.dead) return;
    if (kills && random.fraction() < 0.5) {
      process.host.kill();
      oracle.forgive();
    } else await shutDown(world, process);
    timeline.in(away * random.fraction(), () => {
      processes[index] = begin(index);
    });
  };
  for (let count = 1; count * every < scenario.duration; count++) {
    timeline.in(count * every, () => void deploy(count % processes.length));
  }
}
