import type { Patch } from "../protections.ts";
import type { JobViolation } from "./oracle.ts";
import { JOB_SCENARIOS, type JobScenario } from "./scenarios.ts";

/** Something that keeps jobs from waiting for ever, a scenario that needs it, and how to take it away. */
export interface JobProtection {
  readonly name: string;
  /** What happens without it. */
  readonly without: string;
  readonly scenario: JobScenario;
  /** What must not be seen with the protection, and must be without it. */
  readonly violation: JobViolation;
  /** How many are run at most until it is seen. */
  readonly seeds: number;
  readonly patch: Patch;
}

function named(name: string): JobScenario {
  const found = JOB_SCENARIOS.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario "${name}"`);
  return found;
}

/** What a parked job owes its waking to. */
export const JOB_PROTECTIONS: readonly JobProtection[] = [
  {
    name: "joining the line when the job is delayed, not before",
    without: "a job that is called while it is still active is not woken",
    scenario: named("a pair of 1 ms holders"),
    violation: "left waiting",
    seeds: 200,
    patch: {
      file: "src/bullmq/park-job.ts",
      find: `  const { moved, error } = await delayJob(activation, { ...parked, reason: "conflict" });
  if (!moved || waiter === undefined) return error;
  const entering = enter(activation, waiter, parked, engine.clock.now() + parked.delay);
  // The slot is free: whatever the masters say to it now is no longer its business. But a worker that closes takes the
  // connection with it by which the job is called.
  if (closing.aborted) await entering;
  else engine.finish(entering);
  return error;
`,
      replace: `  await enter(activation, waiter!, parked, engine.clock.now() + parked.delay);
  return (await delayJob(activation, { ...parked, reason: "conflict" })).error;
`,
    },
  },
  {
    name: "looking when no quorum has seen the key taken",
    without: "a job that joins after the release is not woken",
    // One that had its turn while it was parked is called 50 ms later in any case.
    scenario: { ...named("a pair of 1 ms holders"), probeBound: 30 },
    violation: "left waiting",
    seeds: 200,
    patch: {
      file: "src/waiters/wait-lists.ts",
      find: `quiet: states.some((state) => state !== "free"),`,
      replace: `quiet: states.length > 0,`,
    },
  },
  {
    name: "turns",
    without: "whoever asks first goes before the first in line",
    scenario: named("a hot key among cold ones"),
    violation: "order",
    seeds: 20,
    patch: {
      file: "src/testing/memory/simulated-master.ts",
      find: "if (reservation === undefined || reservation.position === requester.position) return [];",
      replace: 'if (reservation === undefined || reservation.position !== "") return [];',
    },
  },
  {
    name: "asking for keys that are due",
    without: "jobs whose process is gone sleep on a free key",
    scenario: named("deploys, long locks"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/waiters/due-keys.ts",
      find: "if (!checked.has(key)) this.#check(key);",
      replace: "void this.#check;",
    },
  },
  {
    name: "the alarm of a parked job",
    without: "jobs sleep on a free key until a worker of their queue has run another job",
    scenario: named("deploys, nothing else to do"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/bullmq/on-conflict.ts",
      find: "? alarm({ expiresIn: conflict.retryAfter, ahead: conflict.ahead, ttl }, fraction)",
      replace: "? alarm({ expiresIn: 10 * ttl, ahead: conflict.ahead, ttl }, fraction)",
    },
  },
  {
    name: "staying in line until the key is had",
    without: "a job that did not hear its call is forgotten",
    scenario: named("two homes, deaf"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/testing/memory/simulated-wait-lists.ts",
      find: 'const theirs = head.record.split("@")[1] ?? "";',
      replace:
        'this.leave(names, key, head.position);\n    const theirs = head.record.split("@")[1] ?? "";',
    },
  },
  {
    name: "dropping those who are gone",
    without: "the turn of a removed job is lost on everybody",
    scenario: named("people meddle"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/bullmq/bullmq-adapter.ts",
      find: "if (job === undefined) return undefined;",
      replace: 'if (job === undefined) throw new Error("gone");',
    },
  },
  {
    name: "passing over homes that do not come",
    without: "a paused queue stops all others on its keys",
    scenario: named("a paused queue"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/waiters/unresponsive-queues.ts",
      find: ".filter(([, { since, pause }]) => since + pause > now)",
      replace: ".filter(() => false)",
    },
  },
  {
    name: "calling a job that was parked in its own turn",
    without: "jobs with several keys wait for turns to lapse",
    scenario: named("several keys, promptly"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/waiters/reservations.ts",
      find: "if (this.#calls.has(waiter)) return;",
      replace: "if (this !== undefined) return;",
    },
  },
  {
    name: "taking the turn from one that is gone, also where it is in no line",
    without: "a superseded job keeps the key for nobody",
    scenario: named("keepLatest"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/testing/memory/simulated-wait-lists.ts",
      find: 'if (record !== "" && known !== undefined && known !== record) continue;',
      replace: 'if (record !== "" && known !== record) continue;',
    },
  },
  {
    name: "waiting for jobs of the queue that have not asked for their key yet",
    without: "of two jobs that find their key free the later one may be the first",
    scenario: named("strict order, of many at once"),
    violation: "order",
    seeds: 20,
    patch: {
      file: "src/bullmq/predecessors.ts",
      find: "return shares && isBefore(other.waiter, waiter) ? [other.waiter] : [];",
      replace: "return shares && isBefore(other.waiter, waiter) ? [] : [];",
    },
  },
  {
    name: "remembering the newest job that has succeeded",
    without: "an older job, or a retry, runs after a newer one",
    scenario: named("keepLatest, some fail"),
    violation: "stale",
    seeds: 20,
    patch: {
      file: "src/testing/memory/simulated-wait-lists.ts",
      find: 'const done = this.#newest(names, key).get("done") ?? "";',
      replace: 'const done = "";',
    },
  },
  {
    name: "asking for what was said before a subscription was in force",
    without: "a call in another home's first moments is not heard",
    scenario: named("two homes, no process serves both"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/waiters/wait-lists.ts",
      find: "for (const key of early) void this.#watcher(key).look();",
      replace: "void early;",
    },
  },
  {
    name: "keeping the turns of a job with several keys",
    without: "jobs with one key each go before it again and again",
    scenario: named("several keys among single ones"),
    violation: "starved",
    seeds: 20,
    patch: {
      file: "src/waiters/wait-lists.ts",
      find: "tries >= PATIENT_TRIES &&",
      replace: "tries >= PATIENT_TRIES * 1_000 &&",
    },
  },
  {
    name: "calling again where a call was lost",
    without: "a queue is blamed for a connection that broke, and its job is passed over",
    scenario: named("connections to a quiet queue break"),
    violation: "left waiting",
    seeds: 20,
    patch: {
      file: "src/waiters/reservations.ts",
      find: 'if (fate === "called" && (await',
      replace: 'if (fate === "gone" && (await',
    },
  },
];
