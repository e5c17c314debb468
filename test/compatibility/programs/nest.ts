// An application of Nest, run in an empty folder against the packed package. Prints a line for each part; ends with 1 at
// the first that is not as promised.
import "reflect-metadata";
import { BullModule, Processor, WorkerHost } from "@nestjs/bullmq";
import {
  type DynamicModule,
  type INestApplicationContext,
  Inject,
  Module,
  Scope,
  type Type,
} from "@nestjs/common";
import { DiscoveryService, NestFactory, REQUEST } from "@nestjs/core";
import { type Job, Queue, type Worker } from "bullmq";
import { getLock, type Lock, Redlock } from "bullmq-redlock";
import { InjectRedlock, RedlockModule, WithLock } from "bullmq-redlock/nestjs";
import { startRedisNodes } from "bullmq-redlock/testing";
import assert from "node:assert/strict";
import { once } from "node:events";

interface Charge {
  accountId: string;
}

/** What the jobs of a part have done, and wait for. */
class Stage {
  readonly end: Promise<void>;
  open!: () => void;
  readonly hosts: unknown[] = [];
  started: () => void = () => undefined;

  constructor() {
    this.end = new Promise((resolve) => {
      this.open = resolve;
    });
  }

  async run(host: WorkerHost, job: Job<Charge>, redlock: Redlock): Promise<readonly string[]> {
    this.hosts.push(host);
    this.started();
    await this.end;
    getLock(job).assertHeld();
    await redlock.using("ledger", async () => await Promise.resolve());
    return getLock(job).keys;
  }
}

let stage = new Stage();
const key = "account:{{data.accountId}}";

@Processor("charges", { concurrency: 4 })
class Charges extends WorkerHost {
  @InjectRedlock() readonly redlock!: Redlock;

  @WithLock({ key })
  override async process(job: Job<Charge>, token?: string, signal?: AbortSignal, lock?: Lock) {
    assert.equal(token, job.token);
    assert.equal(signal?.aborted, false);
    assert.equal(lock, getLock(job));
    return await stage.run(this, job, this.redlock);
  }
}

@Processor({ name: "charges", scope: Scope.REQUEST }, { concurrency: 4 })
class ChargesOfRequests extends WorkerHost {
  @InjectRedlock() readonly redlock!: Redlock;
  @Inject(REQUEST) readonly request!: Job;

  @WithLock()
  override async process(job: Job<Charge>) {
    assert.equal(this.request, job);
    return await stage.run(this, job, this.redlock);
  }
}

type Import = Type | DynamicModule;

function moduleOf(imports: Import[], ...providers: Type[]): Type {
  @Module({ imports, providers })
  class AnyModule {}
  return AnyModule;
}

/** Closes an application while a job runs and another waits for its key; a second one does the other. */
async function redeploy(imports: Import[], queue: Queue<Charge>): Promise<void> {
  stage = new Stage();
  const started = new Promise<void>((resolve) => (stage.started = resolve));
  const app = await start(imports);
  const redlock = app.get(Redlock);
  const told: string[] = [];
  for (const event of ["lost", "warning"] as const) redlock.on(event, () => told.push(event));
  const first = await queue.add("charge", { accountId: "a" });
  await started;
  const parked = once(redlock, "parked");
  const second = await queue.add("charge", { accountId: "a" });
  await parked;
  const closing = once(workerOf(app), "closing");
  const closed = app.close();
  await closing;
  stage.open();
  await closed;
  assert.deepEqual(told, []);
  const { returnvalue, attemptsMade, attemptsStarted } = (await queue.getJob(first.id!))!;
  assert.deepEqual([returnvalue, attemptsMade, attemptsStarted], [["account:a"], 1, 1]);
  assert.equal(stage.hosts.length, 1);
  assert.equal(await second.getState(), "waiting");
  const other = await start(imports);
  const completed = once(workerOf(other), "completed");
  if ((await second.getState()) !== "completed") await completed;
  assert.equal((await queue.getJob(second.id!))?.attemptsMade, 1);
  assert.equal(new Set(stage.hosts).size, 2);
  await other.close();
}

async function start(imports: Import[]): Promise<INestApplicationContext> {
  const options = { logger: false, abortOnError: false } as const;
  return await NestFactory.createApplicationContext(moduleOf(imports), options);
}

/** The worker of the one processor of an application. */
function workerOf(app: INestApplicationContext): Worker {
  const providers = app.get(DiscoveryService, { strict: false }).getProviders();
  const host: unknown = providers.find(({ instance }) => instance instanceof WorkerHost)?.instance;
  return (host as WorkerHost).worker;
}

async function main(): Promise<void> {
  const [masters, queues] = await Promise.all([startRedisNodes(3), startRedisNodes(1)]);
  const connection = { host: "127.0.0.1", port: queues.ports[0]! };
  const rules = { nodes: masters.urls, rules: [{ queue: "charges", key }] };
  const lock = RedlockModule.forRootAsync({
    useFactory: async () => await Promise.resolve({ ...masters.redlockOptions, rules }),
  });
  const bull = BullModule.forRoot({ connection });
  const registered = BullModule.registerQueue({ name: "charges" });
  const queue = new Queue<Charge>("charges", { connection });
  for (const host of [Charges, ChargesOfRequests]) {
    const charges = moduleOf([], host);
    const orders = {
      first: [lock, bull, registered, charges],
      last: [bull, registered, charges, lock],
      deep: [moduleOf([moduleOf([lock])]), charges, bull, registered],
    };
    for (const [order, imports] of Object.entries(orders)) {
      await redeploy(imports, queue);
      process.stdout.write(`${host.name}, module ${order}\n`);
    }
  }
  await queue.close();
  await Promise.all([masters.stop(), queues.stop()]);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
