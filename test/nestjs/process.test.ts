import { Processor, WorkerHost } from "@nestjs/bullmq";
import { Inject, Scope } from "@nestjs/common";
import { REQUEST } from "@nestjs/core";
import type { Job } from "bullmq";
import { expect, it } from "vitest";
import { getLock, type Lock, Redlock } from "../../src/index.ts";
import { RedlockModule, WithLock } from "../../src/nestjs/index.ts";
import { aborted, Gate, next, useBench } from "../bullmq/support.ts";
import { add, bullOn, type Charge, optionsOn, QUEUE, start, startOn, workerOf } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const bench = useBench();
const key = "account:{{data.accountId}}";

it("gives the method its instance, the job, BullMQ's token and signal, and the lock", async () => {
  const called = new Gate<{ host: WorkerHost; given: unknown[] }>();
  @Processor(QUEUE)
  class Charges extends WorkerHost {
    @WithLock({ key })
    override async process(job: Job<Charge>, token?: string, signal?: AbortSignal, lock?: Lock) {
      called.open({ host: this, given: [job, token, signal, lock] });
      expect(getLock(job)).toBe(lock);
      await aborted(signal!);
      signal!.throwIfAborted();
    }
  }
  const app = await startOn(bench, Charges);
  const job = await add(bench.queue(QUEUE), "a");
  const { host, given } = await called.opened;
  expect(host).toBe(app.get(Charges));
  const [own, token, , lock] = given as [Job, string, AbortSignal, Lock];
  expect(own).toMatchObject({ id: job.id, data: { accountId: "a" }, token });
  expect(lock).toMatchObject({ keys: ["account:a"], held: true });
  expect(host.worker.cancelJob(job.id!, "stop it")).toBe(true);
  await waitFor(async () => expect(await job.getState()).toBe("failed"));
  expect(await app.get(Redlock).isLocked("account:a")).toBe(false);
});

/** Counts how many jobs run at the same time, in all and for each account. */
class Counter {
  most = 0;
  readonly #running: string[] = [];

  async run({ data }: Job<Charge>): Promise<number> {
    const same = this.#running.filter((accountId) => accountId === data.accountId).length;
    this.#running.push(data.accountId);
    this.most = Math.max(this.most, this.#running.length);
    await new Promise(setImmediate);
    this.#running.splice(this.#running.indexOf(data.accountId), 1);
    return same;
  }
}

const rules = [{ queue: QUEUE, key }];

it.each([
  { form: "a template", options: { key }, rules: undefined },
  {
    form: "a function",
    options: { key: ({ data }: Job<Charge>) => data.accountId },
    rules: undefined,
  },
  { form: "rules", options: undefined, rules: { nodes: [], rules } },
])("runs jobs of one key one at a time, by $form", async ({ options, rules }) => {
  const counter = new Counter();
  @Processor(QUEUE, { concurrency: 10 })
  class Charges extends WorkerHost {
    @WithLock(options)
    override async process(job: Job<Charge>) {
      return await counter.run(job);
    }
  }
  const given = rules === undefined ? {} : { rules };
  const module = RedlockModule.forRoot({ ...optionsOn(bench), ...given });
  await start([...bullOn(bench), module], [Charges]);
  const queue = bench.queue(QUEUE);
  const jobs = await Promise.all(Array.from({ length: 12 }, (_, i) => add(queue, `${i % 3}`)));
  await waitFor(async () => expect(await queue.getCompletedCount()).toBe(12));
  const done = await Promise.all(jobs.map(async ({ id }) => await queue.getJob(id!)));
  expect(done.map((job) => job?.returnvalue as unknown)).toEqual(jobs.map(() => 0));
});

it("locks for an instance for each job, in a processor of request scope", async () => {
  const hosts: unknown[] = [];
  const ends = [new Gate(), new Gate()];
  const started = new Gate();
  @Processor({ name: QUEUE, scope: Scope.REQUEST }, { concurrency: 2 })
  class Charges extends WorkerHost {
    readonly request: Job<Charge>;

    constructor(@Inject(REQUEST) request: Job<Charge>) {
      super();
      this.request = request;
    }

    @WithLock({ key })
    override async process(job: Job<Charge>, token?: string) {
      expect(this.request).toBe(job);
      expect(token).toBe(job.token);
      hosts.push(this);
      const end = ends[hosts.length - 1]!;
      started.open();
      await end.opened;
      getLock(job).assertHeld();
      return getLock(job).keys;
    }
  }
  const app = await startOn(bench, Charges);
  const queue = bench.queue(QUEUE);
  const first = await add(queue, "a");
  await started.opened;
  const parked = next(app.get(Redlock), "parked");
  const second = await add(queue, "a");
  await parked;
  expect(hosts).toHaveLength(1);
  // Nest calls them through a function that declares no parameters, so that BullMQ has no signal for them.
  expect(workerOf(app).cancelJob(first.id!)).toBe(false);
  for (const end of ends) end.open();
  await waitFor(async () => expect(await queue.getCompletedCount()).toBe(2));
  expect(new Set(hosts).size).toBe(2);
  for (const { id } of [first, second]) {
    expect(await queue.getJob(id!)).toMatchObject({ returnvalue: ["account:a"], attemptsMade: 1 });
  }
});

it("locks for a method that process calls, also in a class that inherits it", async () => {
  class Base extends WorkerHost {
    override async process(job: Job<Charge>, token?: string, signal?: AbortSignal) {
      return job.name === "charge" ? await this.charge(job, token, signal) : [];
    }

    @WithLock({ key })
    async charge(job: Job<Charge>, _token?: string, _signal?: AbortSignal) {
      return await Promise.resolve(getLock(job).keys);
    }
  }
  @Processor(QUEUE)
  class Charges extends Base {}
  await startOn(bench, Charges);
  const queue = bench.queue(QUEUE);
  const [charge, mail] = [await add(queue, "a"), await queue.add("mail", {})];
  await waitFor(async () => expect(await queue.getCompletedCount()).toBe(2));
  expect((await queue.getJob(charge.id!))?.returnvalue).toEqual(["account:a"]);
  expect((await queue.getJob(mail.id!))?.returnvalue).toEqual([]);
});

it("finds the lock of the outer method again after one with a lock of its own", async () => {
  @Processor(QUEUE)
  class Charges extends WorkerHost {
    @WithLock({ key })
    override async process(job: Job<Charge>, token?: string, signal?: AbortSignal) {
      const { keys } = getLock(job);
      const refunded = await this.refund(job, token, signal);
      return [keys, refunded, getLock(job).keys];
    }

    @WithLock({ key: (job) => `refund:${job.id}` })
    async refund(job: Job<Charge>, _token?: string, _signal?: AbortSignal) {
      return await Promise.resolve(getLock(job).keys);
    }
  }
  await startOn(bench, Charges);
  const queue = bench.queue(QUEUE);
  const { id } = await add(queue, "a");
  await waitFor(async () => expect(await queue.getCompletedCount()).toBe(1));
  const [outer, refund] = [["account:a"], [`refund:${id}`]];
  expect((await queue.getJob(id!))?.returnvalue).toEqual([outer, refund, outer]);
});

it("refuses an instance that Nest did not make", async () => {
  class Charges {
    @WithLock({ key })
    async process(job: Job<Charge>) {
      return await Promise.resolve(job.id);
    }
  }
  await expect(new Charges().process({} as Job<Charge>)).rejects.toThrow(
    "@WithLock(): found a Charges that was not made by Nest, expected a provider",
  );
});
