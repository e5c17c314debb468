import { Processor, WorkerHost } from "@nestjs/bullmq";
import { Scope } from "@nestjs/common";
import { Test } from "@nestjs/testing";
import type { Job } from "bullmq";
import { expect, it, onTestFinished } from "vitest";
import { getLock, LockLostError, Redlock, type SkippedResult } from "../../src/index.ts";
import { RedlockModule, WithLock } from "../../src/nestjs/index.ts";
import { MemoryNodes } from "../../src/testing/index.ts";
import { type Charge, QUEUE } from "./support.ts";

/** Masters in memory; no test here has a server, of the queue or of the locks. */
function useMasters(): MemoryNodes {
  const masters = new MemoryNodes();
  onTestFinished(async () => await masters.close());
  return masters;
}

const key = "account:{{data.accountId}}";
const job = { id: "1", name: "charge", queueName: QUEUE, data: { accountId: "42" } } as Job<Charge>;

@Processor(QUEUE)
class Charges extends WorkerHost {
  masters: MemoryNodes | undefined;

  @WithLock({ key, onConflict: "skip", onLost: "fail" })
  override async process(job: Job<Charge>): Promise<readonly string[] | SkippedResult> {
    await this.masters?.lose("account:42");
    return await Promise.resolve(getLock(job).keys);
  }
}

it("is made of a Redlock over masters in memory", async () => {
  const masters = useMasters();
  const module = await Test.createTestingModule({
    imports: [RedlockModule.forRoot({ redlock: masters.redlock() })],
    providers: [Charges],
  }).compile();
  const charges = module.get(Charges);
  expect(await charges.process(job)).toEqual(["account:42"]);
  const other = await masters.hold("account:42");
  expect(await charges.process(job)).toMatchObject({ skipped: true, key: "account:42" });
  await other.release();
  charges.masters = masters;
  await expect(charges.process(job)).rejects.toThrow(LockLostError);
  await module.close();
});

it("takes a Redlock over masters in memory instead of the application's", async () => {
  const redlock = useMasters().redlock();
  const module = await Test.createTestingModule({
    imports: [
      RedlockModule.forRoot({ nodes: ["redis://lock-1", "redis://lock-2", "redis://lock-3"] }),
    ],
    providers: [Charges],
  })
    .overrideProvider(Redlock)
    .useValue(redlock)
    .compile();
  expect(await module.get(Charges).process(job)).toEqual(["account:42"]);
  await module.close();
});

it("locks for each instance of a request", async () => {
  @Processor({ name: QUEUE, scope: Scope.REQUEST })
  class OfRequest extends Charges {}
  const masters = useMasters();
  const module = await Test.createTestingModule({
    imports: [RedlockModule.forRoot({ redlock: masters.redlock() })],
    providers: [OfRequest],
  }).compile();
  const [one, other] = [await module.resolve(OfRequest), await module.resolve(OfRequest)];
  expect(one).not.toBe(other);
  expect(await one.process(job)).toEqual(["account:42"]);
  expect(await other.process(job)).toEqual(["account:42"]);
  await module.close();
});
