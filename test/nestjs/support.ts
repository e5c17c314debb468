import { BullModule, WorkerHost } from "@nestjs/bullmq";
import type { INestApplicationContext, ModuleMetadata, Provider } from "@nestjs/common";
import { Module } from "@nestjs/common";
import { DiscoveryService, NestFactory } from "@nestjs/core";
import "reflect-metadata";
import type { Job, Queue, Worker } from "bullmq";
import { onTestFinished } from "vitest";
import type { RedlockOptions } from "../../src/index.ts";
import { RedlockModule } from "../../src/nestjs/index.ts";
import { type Bench, TTL } from "../bullmq/support.ts";

/** The queue of all tests, and what its jobs are about. */
export const QUEUE = "charges";
export interface Charge {
  accountId: string;
}

/** Options of a `Redlock` on the masters of a test. */
export function optionsOn(bench: Bench): RedlockOptions {
  return { nodes: bench.masterUrls, restartGuard: "trust-new", ttl: TTL, nodeTimeout: 250 };
}

/** The modules of BullMQ, with the queue. */
export function bullOn(bench: Bench): NonNullable<ModuleMetadata["imports"]> {
  const connection = { url: bench.queueUrl };
  return [BullModule.forRoot({ connection }), BullModule.registerQueue({ name: QUEUE })];
}

/** Starts an application, which is closed when the test ends. */
export async function start(
  imports: NonNullable<ModuleMetadata["imports"]>,
  providers: Provider[] = [],
): Promise<INestApplicationContext> {
  @Module({ imports, providers })
  class AppModule {}
  const app = await NestFactory.createApplicationContext(AppModule, {
    logger: false,
    abortOnError: false,
  });
  onTestFinished(async () => await app.close());
  return app;
}

/** Starts the usual application: BullMQ, the masters of the test, and these providers. */
export async function startOn(
  bench: Bench,
  ...providers: Provider[]
): Promise<INestApplicationContext> {
  return await start([...bullOn(bench), RedlockModule.forRoot(optionsOn(bench))], providers);
}

/** The worker of the one processor of an application, of whatever scope. */
export function workerOf(app: INestApplicationContext): Worker {
  const providers = app.get(DiscoveryService, { strict: false }).getProviders();
  const hosts = providers.map((provider): unknown => provider.instance);
  return hosts.find((instance) => instance instanceof WorkerHost)!.worker;
}

/** Adds a job about an account. */
export async function add(queue: Queue, accountId: string): Promise<Job<Charge>> {
  return await queue.add("charge", { accountId });
}
