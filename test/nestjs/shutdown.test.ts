import { BullModule, Processor, WorkerHost } from "@nestjs/bullmq";
import { Module, type ModuleMetadata, Scope, type Type } from "@nestjs/common";
import type { Job } from "bullmq";
import { once } from "node:events";
import { expect, it } from "vitest";
import { getLock, Redlock, RedlockClosedError, type RedlockEvents } from "../../src/index.ts";
import { InjectRedlock, RedlockModule, WithLock } from "../../src/nestjs/index.ts";
import { Gate, next, useBench } from "../bullmq/support.ts";
import { add, bullOn, type Charge, optionsOn, QUEUE, start, workerOf } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const bench = useBench();

/** How far the jobs of a test are. */
class Stage {
  readonly started = new Gate();
  readonly end = new Gate();
  runs = 0;
}

/** A module with a processor whose jobs wait for the end and then acquire another lock. */
function chargesModule(
  stage: Stage,
  {
    onConflict = "delay",
    scope = Scope.DEFAULT,
  }: { onConflict?: "delay" | "wait"; scope?: Scope } = {},
): Type {
  @Processor({ name: QUEUE, scope }, { concurrency: 2 })
  class Charges extends WorkerHost {
    readonly redlock: Redlock;

    constructor(@InjectRedlock() redlock: Redlock) {
      super();
      this.redlock = redlock;
    }

    @WithLock({
      key: "account:{{data.accountId}}",
      onConflict,
      ...(onConflict === "wait" ? { waitTimeout: 60_000 } : {}),
    })
    override async process(job: Job<Charge>): Promise<string> {
      stage.runs += 1;
      stage.started.open();
      await stage.end.opened;
      getLock(job).assertHeld();
      return await this.redlock.using("ledger", async () => await Promise.resolve("charged"));
    }
  }
  @Module({ providers: [Charges] })
  class ChargesModule {}
  return ChargesModule;
}

/** Positions of the lock's module in an application. */
const orders: Record<string, (redlock: Import, bull: Import[], charges: Import) => Import[]> = {
  first: (redlock, bull, charges) => [redlock, ...bull, charges],
  last: (redlock, bull, charges) => [...bull, charges, redlock],
  between: (redlock, bull, charges) => [charges, redlock, ...bull],
  deep: (redlock, bull, charges) => [nest(nest(redlock)), charges, ...bull],
  "deep, with a deep queue": (redlock, bull, charges) => [
    nest(redlock),
    nest(nest(charges)),
    nest(...bull),
  ],
};
type Import = NonNullable<ModuleMetadata["imports"]>[number];

function nest(...imports: Import[]): Type {
  @Module({ imports })
  class Outer {}
  return Outer;
}

it.each(
  Object.keys(orders).flatMap((order) =>
    [Scope.DEFAULT, Scope.REQUEST].map((scope) => ({ order, scope, of: Scope[scope] })),
  ),
)(
  "ends a running job under its lock when the application closes: $order, $of",
  async ({ order, scope }) => {
    const stage = new Stage();
    const module = RedlockModule.forRoot(optionsOn(bench));
    const charges = chargesModule(stage, { scope });
    const app = await start(orders[order]!(module, bullOn(bench), charges));
    const redlock = app.get(Redlock);
    const told = eventsOf(redlock);
    const queue = bench.queue(QUEUE);
    const job = await add(queue, "a");
    await stage.started.opened;
    const closing = once(workerOf(app), "closing");
    const closed = app.close();
    await closing;
    stage.end.open();
    await closed;
    const after = await queue.getJob(job.id!);
    expect(after).toMatchObject({ returnvalue: "charged", attemptsMade: 1, attemptsStarted: 1 });
    expect(told).toEqual(["acquired", "acquired", "released", "released"]);
    await expect(redlock.acquire("a")).rejects.toThrow(RedlockClosedError);
    expect(await bench.redlock().isLocked("account:a")).toBe(false);
  },
);

it.each(["delay", "wait"] as const)(
  "leaves a job that waits by %s to another process, with no attempt used",
  async (onConflict) => {
    const stage = new Stage();
    const module = RedlockModule.forRoot(optionsOn(bench));
    const app = await start([module, ...bullOn(bench), chargesModule(stage, { onConflict })]);
    const redlock = app.get(Redlock);
    const told = eventsOf(redlock);
    const queue = bench.queue(QUEUE);
    await add(queue, "a");
    await stage.started.opened;
    const waits = next(redlock, onConflict === "delay" ? "parked" : "conflict");
    const second = await add(queue, "a");
    await waits;
    const closing = once(workerOf(app), "closing");
    const closed = app.close();
    await closing;
    if (onConflict === "wait") await waitFor(() => expect(told).toContain("parked"));
    stage.end.open();
    await closed;
    expect(stage.runs).toBe(1);
    expect(told).not.toContain("lost");
    expect(told).not.toContain("warning");
    const parked = await queue.getJob(second.id!);
    expect(parked).toMatchObject({ attemptsMade: 0, delay: 0 });
    expect(await second.getState()).toMatch(/^(?:waiting|prioritized)$/);

    const other = await start([module, ...bullOn(bench), chargesModule(stage, { onConflict })]);
    await waitFor(async () => expect(await second.getState()).toBe("completed"));
    expect(await queue.getJob(second.id!)).toMatchObject({ attemptsMade: 1 });
    await other.close();
  },
);

it("closes when the worker was never registered", async () => {
  const connection = { url: bench.queueUrl };
  const extraOptions = { manualRegistration: true };
  const app = await start([
    BullModule.forRoot({ connection, extraOptions }),
    BullModule.registerQueue({ name: QUEUE }),
    RedlockModule.forRoot(optionsOn(bench)),
    chargesModule(new Stage()),
  ]);
  await app.close();
  await expect(app.get(Redlock).acquire("a")).rejects.toThrow(RedlockClosedError);
});

/** The names of the events of a `Redlock`, as they come. */
function eventsOf(redlock: Redlock): (keyof RedlockEvents)[] {
  const told: (keyof RedlockEvents)[] = [];
  for (const name of [
    "acquired",
    "conflict",
    "parked",
    "woken",
    "lost",
    "released",
    "warning",
  ] as const)
    redlock.on(name, () => told.push(name));
  return told;
}
