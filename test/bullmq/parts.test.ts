import { DelayedError, RateLimitError, UnrecoverableError, type Job } from "bullmq";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { alarm, backoff } from "../../src/bullmq/job-delay.ts";
import { timesDelayed } from "../../src/bullmq/job-wait.ts";
import { isControlError } from "../../src/bullmq/control-errors.ts";
import { describeAsHolder, isSameJob } from "../../src/bullmq/holder.ts";
import { LinkedSignal } from "../../src/bullmq/job-signal.ts";
import { lossesOf, lossFields } from "../../src/bullmq/on-loss.ts";
import { LockLostError } from "../../src/index.ts";

function makeJob(queue: string, id: string, more: Partial<Job> = {}): Job {
  return {
    id,
    queueName: queue,
    queue: { qualifiedName: `bull:${queue}` },
    timestamp: 1_700_000_000_000,
    attemptsMade: 0,
    ...more,
  } as unknown as Job;
}

function holderOf(job: Job) {
  return { text: describeAsHolder(job), fencingToken: 1, since: 1 };
}

describe("the text of a holder", () => {
  test("shows operators the queue, the job, the attempt, the host and the process", () => {
    expect(describeAsHolder(makeJob("invoices", "17", { attemptsMade: 1 }))).toMatch(
      new RegExp(`^bull:invoices:17 attempt 2 \\(\\S+ pid ${process.pid}\\) #[\\w-]{12}$`),
    );
  });

  test("is recognised as the same job at every attempt, and as no other, whatever its id", () => {
    const names = fc.string({ unit: "binary", minLength: 1, maxLength: 400 });
    fc.assert(
      fc.property(names, names, fc.nat(50), (id, other, attemptsMade) => {
        const job = makeJob("q", id);
        const later = makeJob("q", id, { attemptsMade });
        expect(isSameJob(job, holderOf(later))).toBe(true);
        expect(isSameJob(makeJob("q", other), holderOf(job))).toBe(id === other);
      }),
    );
  });

  test.each([
    ["job 1 and job 17", makeJob("q", "1"), makeJob("q", "17")],
    ["queues whose names run into ids", makeJob("a", "b:c:1"), makeJob("a:b:c", "1")],
    [
      "an id that imitates a holder",
      makeJob("q", "1"),
      makeJob("q", "1 attempt 1 (vm pid 1) #AAAAAAAAAAAA"),
    ],
    [
      "long ids with the same beginning",
      makeJob("q", `${"x".repeat(300)}1`),
      makeJob("q", `${"x".repeat(300)}2`),
    ],
    [
      "a job that had the same id before",
      makeJob("q", "daily"),
      makeJob("q", "daily", { timestamp: 1 }),
    ],
  ])("distinguishes %s", (_, one, other) => {
    expect(isSameJob(one, holderOf(other))).toBe(false);
    expect(isSameJob(other, holderOf(one))).toBe(false);
  });

  test("fits into the stored text, in one line", () => {
    const text = describeAsHolder(makeJob("q", `line\nbreak\u0000${"x".repeat(1_000)}`));
    expect(text.length).toBeLessThanOrEqual(256);
    expect(text).not.toMatch(/\p{Control}/u);
  });

  test.each([undefined, { text: undefined, fencingToken: undefined, since: undefined }])(
    "of %o belongs to no job",
    (holder) => {
      expect(isSameJob(makeJob("q", "1"), holder)).toBe(false);
    },
  );
});

describe("the backoff", () => {
  test("grows, stays between half and all of its step, and ends at five seconds", () => {
    expect([0, 1, 2, 6, 7, 1_000].map((times) => backoff(times, undefined, 0))).toEqual([
      25, 50, 100, 1_600, 2_500, 2_500,
    ]);
    expect(backoff(0, undefined, 0.999)).toBe(50);
    expect(backoff(1_000, undefined, 0.999)).toBeLessThanOrEqual(5_000);
  });

  test("is not longer than until the key expires, and never 0", () => {
    expect(backoff(10, 300, 0)).toBe(320);
    expect(backoff(10, 0, 0)).toBeGreaterThan(0);
    expect(backoff(10, -5, 0)).toBeGreaterThan(0);
  });

  test("counts activations that were neither attempts nor stalls", () => {
    const counts = { attemptsStarted: 7, attemptsMade: 2, stalledCounter: 1 };
    expect(timesDelayed(counts as Job)).toBe(3);
    expect(timesDelayed({ ...counts, attemptsStarted: 0 } as Job)).toBe(0);
  });
});

describe("a control error", () => {
  class Postponed extends DelayedError {
    override readonly name = "Postponed";
  }

  test.each([
    new DelayedError(),
    new UnrecoverableError("no"),
    new RateLimitError(),
    new Postponed(),
    Object.assign(new Error("copy"), { name: "WaitingChildrenError" }),
    { name: "WaitingError", message: "from another realm" },
  ])("is %s", (error) => {
    expect(isControlError(error)).toBe(true);
  });

  test.each([new Error("no"), undefined, null, "DelayedError", 7, {}, Object.create(null)])(
    "is not %o",
    (thrown) => {
      expect(isControlError(thrown)).toBe(false);
    },
  );
});

describe("a linked signal", () => {
  test("aborts with the first of its sources, and with its reason", () => {
    const [one, two] = [new AbortController(), new AbortController()];
    const linked = new LinkedSignal().follow(one.signal).follow(two.signal).follow(undefined);
    two.abort("two");
    one.abort("one");
    expect(linked.signal.reason).toBe("two");
  });

  test("is aborted from the start by a source that is", () => {
    expect(new LinkedSignal().follow(AbortSignal.abort("before")).signal.reason).toBe("before");
  });

  test("does not abort after it was unlinked", () => {
    const source = new AbortController();
    const linked = new LinkedSignal().follow(source.signal);
    linked.unlink();
    source.abort();
    expect(linked.signal.aborted).toBe(false);
  });
});

describe("the losses of a job", () => {
  const loss = new LockLostError({ keys: ["a"], reason: "expired", fencingToken: 1, heldFor: 1 });

  test("are counted in a row, and a failed attempt ends the row", () => {
    const job = makeJob("q", "1", { stacktrace: null });
    const putBack = (): void => {
      job.stacktrace = JSON.parse(lossFields(job, loss)["stacktrace"]!) as string[];
    };
    expect(lossesOf(job)).toBe(0);
    putBack();
    putBack();
    expect(lossesOf(job)).toBe(2);
    job.stacktrace!.push("Error: failed");
    expect(lossesOf(job)).toBe(0);
    putBack();
    expect(lossesOf(job)).toBe(1);
  });
});

describe("the alarm of a parked job", () => {
  const ttl = 15_000;
  const at = (ahead: number, fraction: number): number =>
    alarm({ expiresIn: ttl, ahead, ttl }, fraction);

  test("rings for the first waiter within one and a half ttls of the release", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: ttl }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (expiresIn, fraction) => {
          const ms = alarm({ expiresIn, ahead: 0, ttl }, fraction);
          expect(ms).toBeGreaterThan(expiresIn);
          expect(ms).toBeLessThanOrEqual(1.5 * ttl);
        },
      ),
    );
  });

  test("rings later for each job before it, and never later than five minutes", () => {
    for (let ahead = 0; ahead < 9; ahead++) expect(at(ahead + 1, 0)).toBeGreaterThan(at(ahead, 0));
    expect(at(1_000, 0.5)).toBe(at(9, 0.5));
    expect(alarm({ expiresIn: 1_800_000, ahead: 50, ttl: 600_000 }, 0.999)).toBeLessThanOrEqual(
      300_000,
    );
  });

  test("does not ring for many at the same time", () => {
    const rings = [0, 0.25, 0.5, 0.75].map((fraction) =>
      alarm({ expiresIn: ttl, ahead: 50, ttl }, fraction),
    );
    expect(Math.max(...rings) - Math.min(...rings)).toBeGreaterThan(ttl);
  });
});
