import type { Mutation } from "../mutation.ts";
import type { JobViolation } from "./oracle.ts";
import { JOB_SCENARIOS, type JobScenario, TWO } from "./scenarios.ts";

/** Something that keeps jobs from waiting for ever, a scenario that needs it, and how to take it away. */
export interface JobProtection {
  readonly name: string;
  /** What happens without it. */
  readonly without: string;
  readonly scenario: JobScenario;
  /** What must not be seen with the protection, and must be without it. */
  readonly violation: JobViolation;
  /** The first that is run: one that shows the violation, until the code draws its random numbers in another order. */
  readonly seed: number;
  readonly mutation: Mutation;
}

function named(name: string): JobScenario {
  const found = JOB_SCENARIOS.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`no scenario "${name}"`);
  return found;
}

/** Nothing but hand-overs: a slot that is idle for so many ms shows. */
const SHORT_HOLDS: JobScenario = { ...named("two holders a key, 1 ms each"), probeBound: 150 };

/** What wakes parked jobs. */
export const JOB_PROTECTIONS: readonly JobProtection[] = [
  {
    name: "joining the wait list when the job is delayed, not before",
    without: "a wake-up that comes while the job is still active is lost",
    scenario: named("a pair of 1 ms holders"),
    violation: "left waiting",
    seed: 80,
    mutation: {
      marker: "a job joins when it is delayed, not before",
      value: "Promise.resolve(await $)",
      moveUp: 3,
    },
  },
  {
    name: "checking a key that no quorum has seen taken",
    without: "a job that joins after the release is not woken",
    // A job that was parked while the key was reserved for it is woken 50 ms later in any case.
    scenario: { ...named("a pair of 1 ms holders"), probeBound: 30 },
    violation: "left waiting",
    seed: 2,
    mutation: { marker: "a key without a quorum that saw it taken is checked", value: "true" },
  },
  {
    name: "reservations",
    without: "the first request gets a free key, not the first waiter",
    scenario: named("a hot key among cold ones"),
    violation: "order",
    seed: 1,
    mutation: { marker: "a reserved key is kept for its waiter", value: "true" },
  },
  {
    name: "checking keys that are due",
    without: "jobs whose process is gone sleep on a free key",
    scenario: named("processes die as they park, no process serves both queues"),
    violation: "left waiting",
    seed: 1,
    mutation: { marker: "due keys are checked" },
  },
  {
    name: "messages to another process of the queue",
    without: "each hand-over to a job whose process is gone waits until its key is due",
    scenario: named("deploys, two queues with a backlog"),
    violation: "left waiting",
    seed: 1,
    mutation: {
      marker: "another process of the queue wakes the jobs of one that is gone",
      value: "false",
    },
  },
  {
    name: "the limit of others for a job whose own is out of use",
    without: "jobs that were parked with a lower limit leave the added slots empty",
    scenario: named("a limit is raised"),
    violation: "left waiting",
    seed: 1,
    mutation: { marker: "a limit that is out of use binds no waiter", value: "limit" },
  },
  {
    name: "counting the waiters of the own queue",
    without: "the alarm of a job is as late as if it waited behind all jobs of other queues",
    scenario: named("deploys, a queue behind another one"),
    violation: "left waiting",
    seed: 5,
    mutation: { marker: "a job counts the waiters of its own queue alone", value: "rank" },
  },
  {
    name: "room for a job that was woken",
    without: "jobs that wait in their slots leave none to the one that is next",
    scenario: named("wait, and then be parked, two queues"),
    violation: "left waiting",
    seed: 2,
    mutation: {
      marker: "a job that waits in its worker slot makes room for one that was woken",
      value: "true",
    },
  },
  {
    name: "the alarm of a parked job",
    without: "jobs sleep on a free key until a worker of their queue has run another job",
    scenario: named("deploys, nothing else to do"),
    violation: "left waiting",
    seed: 10,
    mutation: { marker: "a parked job wakes by itself", value: "3_600_000" },
  },
  {
    name: "an earlier alarm near the front",
    without: "a job that was parked behind many others sleeps for long after a deploy",
    scenario: named("a backlog, processes die"),
    violation: "left waiting",
    seed: 3,
    mutation: { marker: "a job near the front comes back by itself soon", value: "false" },
  },
  {
    name: "staying in the wait list until the key is acquired",
    without: "a job whose wake-up was lost is forgotten",
    scenario: named("two queues, deaf"),
    violation: "left waiting",
    seed: 13,
    mutation: { marker: "a waiter stays in the wait list until it has the key", value: "true" },
  },
  {
    name: "removing waiters that are gone",
    without: "the reservation of a removed job keeps the key from all waiters",
    scenario: named("people meddle"),
    violation: "left waiting",
    seed: 6,
    mutation: { marker: "a removed job is a waiter that is gone" },
  },
  {
    name: "passing over the waiters of a dead process together",
    without: "each job that a dead worker has taken up costs those behind it two seconds",
    // With many slots, a process that dies has many waiters.
    scenario: {
      ...named("a backlog, processes die"),
      slots: 30,
      policy: "wait",
      policies: { waitTimeout: 3_000 },
      probeBound: 2_600,
    },
    violation: "left waiting",
    seed: 2,
    mutation: { marker: "the waiters of a dead process are passed over together", value: "false" },
  },
  {
    name: "skipping unresponsive queues",
    without: "a paused queue stops all others on its keys",
    scenario: named("a paused queue"),
    violation: "left waiting",
    seed: 0,
    mutation: { marker: "unresponsive queues are skipped", value: "true" },
  },
  {
    name: "remembering for all slots of a key which waiters were woken",
    without: "a paused queue keeps the slots of a key from others for two reservations",
    scenario: named("two holders a key, a paused queue"),
    violation: "left waiting",
    seed: 128,
    mutation: {
      marker: "a waiter that has missed one slot is offered no other one",
      value: "{ wokenAt: new Map(), watchers: 0 }",
    },
  },
  {
    name: "waking a job that was parked while its key was reserved",
    without: "jobs with several keys wait until reservations expire",
    // The first look at a job on its way comes later.
    scenario: { ...named("several keys, promptly"), probeBound: 45 },
    violation: "left waiting",
    seed: 9,
    mutation: {
      marker: "a job that was parked while its key was reserved is woken",
      value: "true",
    },
  },
  {
    name: "taking the reservation from a waiter that is gone, also outside the wait list",
    without: "a key stays reserved for a superseded job",
    scenario: named("keepLatest"),
    violation: "left waiting",
    seed: 0,
    mutation: {
      marker: "a waiter that is gone loses its reservation outside the wait list too",
      value: "true",
    },
  },
  {
    name: "waiting for jobs of the queue that have not asked for their key yet",
    without: "of two jobs that find their key free the later one may be the first",
    scenario: named("strict order, of many at once"),
    violation: "order",
    seed: 0,
    mutation: { marker: "strict order waits for active jobs", value: "[]" },
  },
  {
    name: "reserving one slot only for a waiter",
    without: "the other slot stays empty while jobs wait for it",
    scenario: SHORT_HOLDS,
    violation: "left waiting",
    seed: 1,
    mutation: { marker: "a waiter has a reservation of one slot only", value: "false" },
  },
  {
    name: "reserving a slot for waiters in the wait list only",
    without: "a slot stays reserved for a job that has got another one",
    // With one queue alone, the process that has reserved the slot soon sees that the job is done.
    scenario: { ...SHORT_HOLDS, queues: TWO, processes: [[0], [1], [0], [1]] },
    violation: "left waiting",
    seed: 297,
    mutation: {
      marker: "a slot is not reserved for a waiter that has left the wait list",
      value: "true",
    },
  },
  {
    name: "waiting for all masters when they name different waiters",
    without: "a slot is reserved for a job that has got another one by other masters",
    scenario: SHORT_HOLDS,
    violation: "left waiting",
    seed: 1,
    mutation: {
      marker: "a tie between waiters waits for the masters that have not answered",
      value: "false",
    },
  },
  {
    name: "waiting for all masters when they have reserved a key for different waiters",
    without: "a master that has lost its memory lets a job overtake others",
    scenario: named("strict order, a master loses its memory"),
    violation: "order",
    seed: 121,
    mutation: {
      marker: "a tie between reservations waits for the masters that have not answered",
      value: "false",
    },
  },
  {
    name: "remembering the newest job that has succeeded",
    without: "an older job, or a retry, runs after a newer one",
    scenario: named("keepLatest, some fail"),
    violation: "stale",
    seed: 0,
    mutation: { marker: "the newest job that succeeded is remembered", value: '""' },
  },
  {
    name: "keeping the key of a failed job",
    without: "other jobs run before its retry",
    scenario: named("kept retries"),
    violation: "overtaken",
    seed: 0,
    mutation: { marker: "a failed job keeps its key", value: "false" },
  },
  {
    name: "checking whether the job for which a key is kept will run again",
    without: "the key of a removed job stays kept for ten minutes",
    scenario: named("kept retries, people remove jobs"),
    violation: "left waiting",
    seed: 0,
    mutation: { marker: "a key is not kept for a job that will not run again", value: "[]" },
  },
  {
    name: "leaving the reservation for a failed job when a release is executed twice",
    without: "a master gives the key of the failed job to the next waiter",
    scenario: named("kept retries, a bad network"),
    violation: "overtaken",
    seed: 104,
    mutation: {
      marker: "a release that is late, or executed twice, leaves the reservation for a failed job",
      value: "false",
    },
  },
  {
    name: "checking keys when a subscription comes into force",
    without: "a message in the first moments of another process is lost",
    scenario: named("two queues, no process serves both"),
    violation: "left waiting",
    seed: 0,
    mutation: { marker: "keys are checked when the subscription is in force" },
  },
  {
    name: "keeping the reservations of a job with several keys",
    without: "jobs with one key each go before it again and again",
    scenario: { ...named("several keys among single ones"), policy: "wait", slots: 40 },
    violation: "starved",
    seed: 1,
    mutation: { marker: "a job with several keys reserves them after some tries", value: "false" },
  },
  {
    name: "passing the reservation of a later job on the way to several keys",
    without:
      "two jobs that each have the reservation of one key stop at that of the other, again and again",
    scenario: { ...named("several keys, masters far away"), activations: 2.8 },
    violation: "too many activations",
    seed: 1,
    mutation: {
      marker: "a job with several keys does not stop at a reservation for a later one",
      value: "true",
    },
  },
  {
    name: "reading the id of a queue again",
    without: "processes know a queue by different ids once its Redis has lost its data",
    scenario: named("queues lose their data, deploys"),
    violation: "left waiting",
    seed: 2,
    mutation: { marker: "the id of a queue is read again", value: "0" },
  },
  {
    name: "leaving the wait lists when most masters are unavailable",
    without: "a job that runs without a lock, or fails, keeps its key for nothing",
    scenario: named("jobs run without a lock while most masters lose their memory"),
    violation: "left waiting",
    seed: 1,
    mutation: { marker: "a job that does not come back leaves the wait lists" },
  },
  {
    name: "passing over a job whose data has changed",
    without: "a job that failed keeps a key that it does not ask for any more",
    scenario: named("people give kept retries other keys"),
    violation: "left waiting",
    seed: 1,
    mutation: {
      marker: "a job whose data has changed keeps no key that it asks for no more",
      value: "false",
    },
  },
  {
    name: "giving back wait lists to a master that has lost its memory",
    without: "no master knows the waiters when all have been restarted, one at a time",
    scenario: named("masters are restarted empty, one at a time"),
    violation: "order",
    seed: 5,
    mutation: { marker: "a master that has lost its memory is given back its wait lists" },
  },
];
