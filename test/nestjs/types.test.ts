import { WorkerHost } from "@nestjs/bullmq";
import type { Job } from "bullmq";
import { expect, expectTypeOf, test } from "vitest";
import { getLock, type Lock, type SkippedResult } from "../../src/index.ts";
import { type RedlockModuleAsyncOptions, WithLock } from "../../src/nestjs/index.ts";

interface Charge {
  accountId: string;
  items: { sku: string }[];
}

test("takes a process method with as many parameters as it needs", () => {
  class Short extends WorkerHost {
    @WithLock({ key: "account:{{data.accountId}}" })
    override async process(job: Job<Charge>): Promise<number> {
      return await Promise.resolve(getLock(job).fencingToken);
    }
  }
  class Long extends WorkerHost {
    @WithLock({ key: ["account:{{data.accountId}}", "sku:{{data.items[*].sku}}"] })
    override async process(
      job: Job<Charge>,
      _jobToken?: string,
      signal?: AbortSignal,
      lock: Lock = getLock(job),
    ): Promise<number> {
      signal?.throwIfAborted();
      return await Promise.resolve(lock.fencingToken);
    }
  }
  class ByRules extends WorkerHost {
    @WithLock()
    override async process(job: Job<Charge>): Promise<string> {
      return await Promise.resolve(job.data.accountId);
    }

    @WithLock({ key: (job: Job<Charge>) => job.data.accountId, onConflict: "wait" })
    async charge(job: Job<Charge>, jobToken: string, signal: AbortSignal, lock: Lock) {
      return await Promise.resolve([job, jobToken, signal, lock]);
    }

    @WithLock({ key: "{{data.anything}}" })
    async untyped(job: Job) {
      return await Promise.resolve(job.id);
    }

    @WithLock({
      key: (job: Job<Charge>) => job.data.items.map(({ sku }) => sku),
      onConflict: (job, { key }) => (job.data.accountId === key ? "skip" : "delay"),
      skipResult: (job) => job.data.items,
    })
    async policies(job: Job<Charge, number, "charge">): Promise<number | Charge["items"]> {
      return await Promise.resolve(job.data.items.length);
    }

    @WithLock({ key: "account:{{data.accountId}}", onConflict: "skip" })
    async skips(job: Job<Charge>): Promise<number | SkippedResult> {
      return await Promise.resolve(job.data.items.length);
    }

    @WithLock({ key: "account:{{data.accountId}}", onConflict: "keepLatest" })
    async nothing(_job: Job<Charge>) {
      await Promise.resolve();
    }
  }
  expectTypeOf<Short["process"]>().returns.resolves.toEqualTypeOf<number>();
  expectTypeOf<Long["process"]>().parameter(3).toEqualTypeOf<Lock | undefined>();
  expectTypeOf<ByRules["process"]>().parameter(0).toEqualTypeOf<Job<Charge>>();
});

test("refuses a wrong path, a method for other jobs, one for no job, and a property", () => {
  expect(decorateProperty).toThrow("@WithLock(): found nothing, expected a method");
  class Wrong {
    // @ts-expect-error there is no such path
    @WithLock({ key: "account:{{data.acountId}}" })
    async path(job: Job<Charge>) {
      return await Promise.resolve(job.id);
    }

    // @ts-expect-error nor among several templates
    @WithLock({ key: ["account:{{data.accountId}}", "{{data.sku}}"] })
    async paths(job: Job<Charge>) {
      return await Promise.resolve(job.id);
    }

    // @ts-expect-error the key function is for other jobs
    @WithLock({ key: (job: Job<Charge>) => job.data.accountId })
    async others(job: Job<{ reportId: string }>) {
      return await Promise.resolve(job.id);
    }

    // @ts-expect-error a text is no job
    @WithLock({ key: "a" })
    async text(text: string) {
      return await Promise.resolve(text);
    }

    // @ts-expect-error there is no job, and by rules neither
    @WithLock()
    async nothing() {
      await Promise.resolve();
    }

    // @ts-expect-error nothing gives a fifth argument
    @WithLock()
    async five(job: Job, _token: string, _signal: AbortSignal, _lock: Lock, more: string) {
      return await Promise.resolve([job, more]);
    }

    // @ts-expect-error a job that is skipped completes with a SkippedResult
    @WithLock({ key: "account:{{data.accountId}}", onConflict: "skip" })
    async skips(job: Job<Charge>): Promise<number> {
      return await Promise.resolve(job.data.items.length);
    }

    // @ts-expect-error so does one that is too old
    @WithLock({ key: "account:{{data.accountId}}", maxAge: 1_000, onMaxWait: "skip" })
    async old(job: Job<Charge>): Promise<number> {
      return await Promise.resolve(job.data.items.length);
    }

    // @ts-expect-error the job completes with a text when it is skipped
    @WithLock({ key: "a", onConflict: "skip", skipResult: () => "none" })
    async replaced(job: Job<Charge>): Promise<number> {
      return await Promise.resolve(job.data.items.length);
    }

    // @ts-expect-error it is not asynchronous
    @WithLock()
    sync(job: Job) {
      return job.id;
    }

    // @ts-expect-error the Redlock is that of the module
    @WithLock({ key: "a", redlock: undefined })
    async given(job: Job) {
      return await Promise.resolve(job.id);
    }

    // @ts-expect-error a later version may know it
    @WithLock({ key: "a", onConflict: "keepLast" })
    async choice(job: Job) {
      return await Promise.resolve(job.id);
    }
  }
  expectTypeOf<Wrong>().toBeObject();
});

function decorateProperty() {
  class Wrong {
    // @ts-expect-error a property is no method
    @WithLock()
    property = 1;
  }
  return Wrong;
}

test("takes options that a function makes of other providers", () => {
  const options = {
    inject: ["masters"],
    useFactory: (nodes: string[]) => ({ nodes, rules: "bullmq-redlock.yaml" }),
  };
  expectTypeOf(options).toExtend<RedlockModuleAsyncOptions>();
});
