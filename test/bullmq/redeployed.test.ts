import { Queue, Worker, type ConnectionOptions, type Job } from "bullmq";
import { AbstractConnector, Cluster, Redis } from "ioredis";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pass } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Redlock, withLock } from "../../src/index.ts";
import { findRedisServer } from "../../src/testing/find-redis-server.ts";
import { pickFreePort } from "../../src/testing/free-port.ts";
import { LockedWorker } from "../../src/worker.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";
import { useBench } from "./support.ts";

interface Data {
  key: string;
  /** For how long the job runs, in ms. */
  ms?: number;
}

/** The alarm of a parked job is farther away than all that is promised by others. */
const LONG_TTL = 30_000;
/** Where nothing but the alarm is left. */
const SHORT_TTL = 2_000;
/** Allowance for a loaded machine, in ms. */
const LOAD = 2_000;
/** The bound of docs/guarantees.md where a worker of the queue has run a wrapped job, in ms. */
const SERVED = 3_000;

const bench = useBench();

interface QueueAddress {
  connection: ConnectionOptions;
  prefix?: string;
  name?: string;
}

/** A queue, and programs that serve it: each with a Redlock and workers of its own. */
class Deployment {
  readonly runs: string[] = [];
  /** When each of them began, on the monotonic clock. */
  readonly begun: number[] = [];
  readonly queue: Queue<Data>;
  readonly #address: QueueAddress;
  readonly #ttl: number;

  constructor(address: Partial<QueueAddress>, ttl: number) {
    this.#address = { connection: { url: bench.queueUrl }, ...address };
    this.#ttl = ttl;
    const { name = "invoices", ...options } = this.#address;
    this.queue = new Queue(name, options);
    this.queue.on("error", () => undefined);
    onTestFinished(async () => await this.queue.close());
  }

  start(concurrency = 4): ScriptSource {
    const { name = "invoices", ...options } = this.#address;
    const redlock = bench.redlock({ ttl: this.#ttl });
    const processor = withLock({ redlock, key: "{{data.key}}" }, async (job: Job<Data>) => {
      this.runs.push(job.id ?? "");
      this.begun.push(performance.now());
      await pass(job.data.ms ?? 1);
    });
    return new ScriptSource(redlock, new Worker(name, processor, { ...options, concurrency }));
  }

  async add(jobId: string, data: Data): Promise<void> {
    await this.queue.add("j", data, { jobId });
  }

  async parked(count: number): Promise<void> {
    await expect.poll(async () => await this.queue.getDelayedCount()).toBe(count);
  }

  /** Milliseconds until so many jobs have run, from now on. */
  async untilRun(count: number, timeout = 60_000): Promise<number> {
    const from = performance.now();
    await expect
      .poll(() => this.runs.length, { timeout, interval: 5 })
      .toBeGreaterThanOrEqual(count);
    return performance.now() - from;
  }
}

class ScriptSource {
  readonly redlock: Redlock;
  readonly worker: Worker;

  constructor(redlock: Redlock, worker: Worker) {
    this.redlock = redlock;
    this.worker = worker;
    worker.on("error", () => undefined);
    onTestFinished(async () => await this.stop());
  }

  /** In the order that is documented. */
  async stop(): Promise<void> {
    await this.worker.close();
    await this.redlock.close();
  }
}

/**
 * The masters after the death of a process that has parked its jobs but not joined again: the jobs are in the wait list as
 * arriving waiters.
 */
async function unsayParked(key: string): Promise<void> {
  for (const url of bench.masterUrls) {
    const client = redisClient(url);
    const records = `redlock:@waiter:${key}`;
    for (const [position, record] of Object.entries(await client.hgetall(records))) {
      if (record.startsWith("p")) await client.hset(records, position, record.replace(/^p/, "a"));
    }
  }
}

/** A job waits for a key that a program without a worker holds; its worker is replaced, then the key is released. */
async function replaceWorkerWhileHeld(address: Partial<QueueAddress> = {}): Promise<void> {
  const api = bench.redlock({ ttl: LONG_TTL });
  const deployment = new Deployment(address, LONG_TTL);
  const lock = await api.acquire("account");
  const before = deployment.start();
  await deployment.add("parked", { key: "account" });
  await deployment.parked(1);
  await before.stop();
  deployment.start();
  await deployment.add("other", { key: "another" });
  await deployment.untilRun(1);
  await lock.release();
  expect(await deployment.untilRun(2)).toBeLessThan(SERVED + LOAD);
  expect(deployment.runs).toEqual(["other", "parked"]);
}

describe("a parked job whose worker is replaced", () => {
  test("starts within seconds when its key is free, by a worker that has run any job", async () => {
    await replaceWorkerWhileHeld();
  });

  test("starts within one and a half ttls by a worker that has run none yet", async () => {
    const api = bench.redlock({ ttl: SHORT_TTL });
    const deployment = new Deployment({}, SHORT_TTL);
    const lock = await api.acquire("account");
    const before = deployment.start();
    await deployment.add("parked", { key: "account" });
    await deployment.parked(1);
    await before.stop();
    deployment.start();
    await lock.release();
    expect(await deployment.untilRun(1)).toBeLessThan(1.5 * SHORT_TTL + LOAD);
  });

  test("starts when a LockedWorker is replaced, too", async () => {
    const api = bench.redlock({ ttl: SHORT_TTL });
    const lock = await api.acquire("account");
    const deployment = new Deployment({}, SHORT_TTL);
    const begin = (): ScriptSource => {
      const redlock = bench.redlock({ ttl: SHORT_TTL });
      const worker: LockedWorker<Data> = new LockedWorker(
        "invoices",
        async (job: Job<Data>) => {
          await Promise.resolve(deployment.runs.push(job.id ?? ""));
        },
        { connection: { url: bench.queueUrl }, lock: { redlock, key: "{{data.key}}" } },
      );
      return new ScriptSource(redlock, worker);
    };
    const before = begin();
    await deployment.add("parked", { key: "account" });
    await deployment.parked(1);
    await before.stop();
    begin();
    await lock.release();
    expect(await deployment.untilRun(1)).toBeLessThan(1.5 * SHORT_TTL + LOAD);
  });

  test("starts within seconds by another process that lives and runs other jobs", async () => {
    const api = bench.redlock({ ttl: LONG_TTL });
    const deployment = new Deployment({}, LONG_TTL);
    const lock = await api.acquire("account");
    const before = deployment.start();
    await deployment.add("parked", { key: "account" });
    await deployment.parked(1);
    deployment.start();
    await before.stop();
    for (const id of ["a", "b", "c"]) await deployment.add(id, { key: id });
    await deployment.untilRun(3);
    await lock.release();
    expect(await deployment.untilRun(4)).toBeLessThan(SERVED + LOAD);
  });

  test("starts although it was never woken: fifty jobs, one after the other", async () => {
    const api = bench.redlock({ ttl: SHORT_TTL });
    const deployment = new Deployment({}, SHORT_TTL);
    const lock = await api.acquire("k");
    const before = deployment.start(10);
    for (let i = 0; i < 50; i++) await deployment.add(`j${i}`, { key: "k" });
    await deployment.parked(50);
    await before.stop();
    await lock.release();
    const released = performance.now();
    deployment.start(10);
    await deployment.untilRun(50);
    const gaps = deployment.begun.map((at, i) => at - (deployment.begun[i - 1] ?? released));
    expect(Math.max(...gaps)).toBeLessThan(1.5 * SHORT_TTL + LOAD);
    // By their alarms alone, ten of them would begin a ttl after the one before; a busy machine delays each a little.
    expect(gaps.filter((gap) => gap > SHORT_TTL / 2).length).toBeLessThan(4);
  });
});

test("two queues that share keys both go on when their process is started again", async () => {
  const deployments = ["a", "b"].map((name) => new Deployment({ name }, SHORT_TTL));
  const programs = deployments.map((deployment) => deployment.start());
  // Parked by processes that are gone, and handed over from one queue to the other.
  const count = 100;
  for (let i = 0; i < count; i++) {
    for (const each of deployments) await each.add(`j${i}`, { key: `k${i % 4}`, ms: 30 });
  }
  await deployments[0]!.untilRun(4);
  await Promise.all(programs.map(async (program) => await program.stop()));
  const left = deployments.map(({ runs }) => runs.length);
  expect(Math.min(...left)).toBeLessThan(count);
  for (const deployment of deployments) deployment.start();
  await Promise.all(
    deployments.map(async (deployment) => {
      expect(await deployment.untilRun(count)).toBeLessThan(1.5 * SHORT_TTL + 3_000 + 2 * LOAD);
    }),
  );
});

describe("a queue is known by what it is, not by how it is reached", () => {
  const separate = useRedisNodes(1);
  const clustered = useRedisNodes(1, {
    args: ["--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1"],
  });

  test("through Sentinel", async () => {
    const port = await pickFreePort();
    const folder = await mkdtemp(join(tmpdir(), "sentinel-"));
    const file = join(folder, "sentinel.conf");
    const { port: master } = new URL(bench.queueUrl);
    await writeFile(
      file,
      `port ${port}\ndir ${folder}\nsentinel monitor queue 127.0.0.1 ${master} 1\n`,
    );
    const { path, env } = await findRedisServer();
    const sentinel = spawn(path, [file, "--sentinel"], { stdio: "ignore", env });
    const exit = once(sentinel, "exit");
    onTestFinished(async () => {
      sentinel.kill("SIGKILL");
      await exit;
      await rm(folder, { recursive: true, force: true });
    });
    const client = redisClient(`redis://127.0.0.1:${port}`);
    await expect.poll(async () => await client.ping().catch(() => "")).toBe("PONG");
    await replaceWorkerWhileHeld({
      connection: { sentinels: [{ host: "127.0.0.1", port }], name: "queue" },
    });
  });

  test("as a Redis Cluster", async () => {
    const [url = ""] = clustered.urls;
    const client = redisClient(url);
    await client.cluster("ADDSLOTSRANGE", 0, 16_383).catch(() => undefined);
    const state = async (): Promise<unknown> => await client.cluster("INFO");
    await expect.poll(state).toContain("cluster_state:ok");
    const { hostname, port } = new URL(url);
    const cluster = new Cluster([{ host: hostname, port: Number(port) }], {
      redisOptions: { maxRetriesPerRequest: null },
    });
    onTestFinished(() => cluster.disconnect());
    await replaceWorkerWhileHeld({ connection: cluster, prefix: "{bull}" });
  });

  test("also when its Redis has lost its data", async () => {
    const deployment = new Deployment({}, LONG_TTL);
    deployment.start(2);
    for (const id of ["a", "b", "c", "d"]) await deployment.add(id, { key: "k" });
    await deployment.untilRun(4);
    await redisClient(bench.queueUrl).flushall();
    deployment.start(2);
    await pass(200);
    const ids = Array.from({ length: 40 }, (_, i) => `j${i}`);
    for (const id of ids) await deployment.add(id, { key: "k", ms: 50 });
    const added = performance.now();
    await deployment.untilRun(44);
    const gaps = deployment.begun.map(
      (at, i) => at - Math.max(added, deployment.begun[i - 1] ?? 0),
    );
    expect(Math.max(...gaps.slice(4))).toBeLessThan(1_000);
    expect(deployment.runs.slice(4)).toEqual(ids);
  });

  test("two stacks with queues of the same address and name alternate on a shared key", async () => {
    const stacks = [bench.queueUrl, separate.urls[0] ?? ""].map((url) => {
      const connection = clientThatSays("redis", 6_379, url);
      return new Deployment({ connection }, LONG_TTL);
    });
    for (const stack of stacks) stack.start();
    for (let i = 0; i < 6; i++) {
      for (const stack of stacks) await stack.add(`j${i}`, { key: "k", ms: 50 });
    }
    for (const stack of stacks) expect(await stack.untilRun(6)).toBeLessThan(SERVED + LOAD);
  });
});

/** A client that thinks it is connected to one address, as by the name of a host, and is connected to another. */
function clientThatSays(host: string, port: number, url: string): Redis {
  const real = new URL(url);
  class Detour extends AbstractConnector {
    constructor() {
      super(2_000);
    }

    connect(): Promise<Socket> {
      this.connecting = true;
      const socket = createConnection({ host: real.hostname, port: Number(real.port) });
      this.stream = socket;
      return Promise.resolve(socket);
    }
  }
  const client = new Redis({ host, port, maxRetriesPerRequest: null, Connector: Detour });
  onTestFinished(() => client.disconnect());
  return client;
}

describe("a process that dies after it has parked jobs, and before it has said so", () => {
  test("keeps them in the wait list, though the releasing process cannot reach the queue", async () => {
    const api = bench.redlock({ ttl: LONG_TTL });
    const deployment = new Deployment({}, LONG_TTL);
    const lock = await api.acquire("account");
    const before = deployment.start();
    for (const id of ["a", "b", "c", "d"]) await deployment.add(id, { key: "account" });
    await deployment.parked(4);
    await before.stop();
    await unsayParked("account");

    await lock.release();
    // The reservation of the first expires.
    await pass(2_500);
    deployment.start();
    await deployment.add("warm", { key: "another" });

    await deployment.untilRun(1);
    expect(await deployment.untilRun(5)).toBeLessThan(SERVED + LOAD);
  });
});
