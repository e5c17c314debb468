/**
 * A Nest application whose jobs for one account run one at a time.
 *
 * Run it: `npx tsx examples/nestjs/main.ts`. The decorators need `"experimentalDecorators": true` in tsconfig.json.
 */
import "reflect-metadata";
import { BullModule, getQueueToken, Processor, WorkerHost } from "@nestjs/bullmq";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import type { Job, Queue } from "bullmq";
import { getLock } from "bullmq-redlock";
import { RedlockModule, WithLock } from "bullmq-redlock/nestjs";
import { startRedisNodes } from "bullmq-redlock/testing";

// Real servers, for this example only. In production: your queue's Redis, and three Redis masters of their own.
await using queueRedis = await startRedisNodes(1);
await using lockMasters = await startRedisNodes(3);

interface Charge {
  accountId: number;
  cents: number;
}

@Processor("charges", { concurrency: 10 })
class ChargesProcessor extends WorkerHost {
  readonly balances = new Map<number, number>();

  @WithLock({ key: "account:{{data.accountId}}" }) // the compiler checks it against Charge
  override async process(job: Job<Charge>) {
    const { fencingToken, signal } = getLock(job);
    const balance = this.balances.get(job.data.accountId) ?? 0;
    // Slow work between read and write. Without the lock, charges would be lost here.
    await new Promise((resolve) => setTimeout(resolve, 20));
    signal.throwIfAborted();
    this.balances.set(job.data.accountId, balance + job.data.cents);
    console.log(`account ${job.data.accountId}: job ${job.id}, fencing token ${fencingToken}`);
  }
}

@Module({
  imports: [
    BullModule.forRoot({ connection: { url: queueRedis.urls[0]! } }),
    BullModule.registerQueue({ name: "charges" }),
    RedlockModule.forRoot(lockMasters.redlockOptions),
  ],
  providers: [ChargesProcessor],
})
class AppModule {}

const app = await NestFactory.createApplicationContext(AppModule, { logger: ["error"] });
const { balances, worker } = app.get(ChargesProcessor);
const allCharged = new Promise<void>((resolve) => {
  let completed = 0;
  worker.on("completed", () => {
    completed += 1;
    if (completed === 20) resolve();
  });
});
const data = Array.from({ length: 20 }, (_, i) => ({ accountId: i % 4, cents: 100 }));
const queue = app.get<Queue<Charge>>(getQueueToken("charges"));
await queue.addBulk(data.map((charge) => ({ name: "charge", data: charge })));
await allCharged;
console.log("balances:", Object.fromEntries(balances));

// Closes the workers first, then the lock. A running job finishes under its lock.
await app.close();
