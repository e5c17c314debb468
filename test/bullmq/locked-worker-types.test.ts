import type { Job, Worker } from "bullmq";
import { expectTypeOf, test } from "vitest";
import { type Lock, Redlock, type SkippedResult, withLock } from "../../src/index.ts";
import { type LockedSandboxedJob, LockedWorker } from "../../src/worker.ts";

interface Invoice {
  accountId: string;
}

const redlock = new Redlock();
redlock.on("warning", () => undefined);
const connection = {};

/** For the compiler only: no worker is made. */
function compiles(_make: () => Worker): void {}

const processor = async (job: Job<Invoice>, _jobToken: string, _signal: AbortSignal, lock: Lock) =>
  await Promise.resolve(`${job.data.accountId} ${lock.fencingToken}`);

test("is a Worker of the data that its type arguments say", () => {
  compiles(() => {
    const worker = new LockedWorker<Invoice, number>("invoices", "/file.js", {
      connection,
      lock: {
        redlock,
        key: (job) => {
          expectTypeOf(job.data).toEqualTypeOf<Invoice>();
          return job.data.accountId;
        },
      },
    });
    expectTypeOf(worker).toExtend<Worker<Invoice, number>>();
    return worker;
  });
});

test("infers the data and the lock from a function, and checks the template", () => {
  compiles(
    () =>
      new LockedWorker("invoices", processor, {
        connection,
        lock: { redlock, key: "account:{{data.accountId}}" },
      }),
  );
  compiles(
    () =>
      new LockedWorker("invoices", processor, {
        connection,
        // @ts-expect-error There is no such path in the data.
        lock: { redlock, key: "account:{{data.account}}" },
      }),
  );
});

test("checks the template of a processor in a file against the type of the variable", () => {
  compiles(() => {
    const worker: LockedWorker<Invoice> = new LockedWorker("invoices", "/file.js", {
      connection,
      lock: { redlock, key: "account:{{data.accountId}}" },
    });
    return worker;
  });
  compiles(() => {
    const worker: LockedWorker<Invoice> = new LockedWorker("invoices", "/file.js", {
      connection,
      // @ts-expect-error There is no such path in the data.
      lock: { redlock, key: "account:{{data.account}}" },
    });
    return worker;
  });
});

test("leaves a template to run time where type arguments are written out", () => {
  const lock = { redlock, key: "account:{{data.account}}" } as const;
  compiles(() => new LockedWorker<Invoice>("invoices", "/file.js", { connection, lock }));
  expectTypeOf(() =>
    withLock<Job<Invoice>, void>(lock, async () => {
      await Promise.resolve();
    }),
  ).toBeFunction();
});

test("gives the processor in the file a job with a lock in it", () => {
  expectTypeOf<LockedSandboxedJob<Invoice>["data"]>().toEqualTypeOf<Invoice>();
  expectTypeOf<LockedSandboxedJob<Invoice>["lock"]["fencingToken"]>().toEqualTypeOf<number>();
});

test("takes a policy that skips jobs where the result allows what they complete with", () => {
  const skips = { redlock, key: "a", onConflict: "skip" } as const;
  compiles(() => {
    const worker: LockedWorker<Invoice, string | SkippedResult> = new LockedWorker(
      "invoices",
      "/file.js",
      { connection, lock: skips },
    );
    return worker;
  });
  compiles(() => {
    const worker: LockedWorker<Invoice, string | null> = new LockedWorker("invoices", "/file.js", {
      connection,
      lock: { ...skips, skipResult: () => null },
    });
    return worker;
  });
  compiles(() => {
    const worker: LockedWorker<Invoice, void> = new LockedWorker("invoices", "/file.js", {
      connection,
      lock: skips,
    });
    return worker;
  });
  compiles(() => {
    const worker: LockedWorker<Invoice, string> = new LockedWorker("invoices", "/file.js", {
      connection,
      // @ts-expect-error The result has no SkippedResult.
      lock: skips,
    });
    return worker;
  });
  compiles(() => {
    const worker: LockedWorker<Invoice, string> = new LockedWorker("invoices", "/file.js", {
      connection,
      // @ts-expect-error A number is no string.
      lock: { ...skips, skipResult: () => 7 },
    });
    return worker;
  });
});
