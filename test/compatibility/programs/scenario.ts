// What the package is for, run in an empty folder against the packed package: as an ES module and as CommonJS, on every
// supported Node, BullMQ and ioredis. Prints a line for each part; ends with 1 at the first that is not as promised.
//
// node scenario.js <path of the processor in a file>
import { type Job, Queue, QueueEvents, Worker } from "bullmq";
import { type ConflictPolicy, Redlock, withLock } from "bullmq-redlock";
import { type RedisNodes, startRedisNodes } from "bullmq-redlock/testing";
import { LockedWorker } from "bullmq-redlock/worker";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createRequire } from "node:module";

interface Charge {
  accountId: string;
}

/** Something that is waited for until `open`. */
class Gate {
  readonly passed: Promise<void>;
  #open!: () => void;

  constructor() {
    this.passed = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }
}

/** The servers, and one queue for each part. */
interface Ground {
  readonly masters: RedisNodes;
  readonly redlock: Redlock;
  readonly connection: { readonly host: string; readonly port: number };
}

/** A queue, its events, and workers on it, until `close`. */
class Station {
  readonly queue: Queue<Charge>;
  readonly #events: QueueEvents;
  readonly #workers: Worker[] = [];
  readonly #name: string;
  readonly #ground: Ground;

  constructor(name: string, ground: Ground) {
    this.#name = name;
    this.#ground = ground;
    this.queue = new Queue<Charge>(name, { connection: ground.connection });
    // waitUntilFinished adds listeners for each job.
    this.queue.setMaxListeners(100);
    this.#events = new QueueEvents(name, { connection: ground.connection });
  }

  async work(
    onConflict: ConflictPolicy,
    processor: (job: Job<Charge>, signal: AbortSignal, fencingToken: number) => Promise<unknown>,
  ): Promise<Worker> {
    const { redlock, connection } = this.#ground;
    const worker = new Worker<Charge>(
      this.#name,
      withLock(
        {
          redlock,
          key: "account:{{data.accountId}}",
          onConflict,
          ...(onConflict === "wait" ? { waitTimeout: 60_000 } : {}),
        },
        async (job: Job<Charge>, _jobToken, signal, lock) =>
          await processor(job, signal, lock.fencingToken),
      ),
      { connection, concurrency: 4 },
    );
    return await this.adopt(worker);
  }

  async adopt<W extends Worker>(worker: W): Promise<W> {
    this.#workers.push(worker);
    await Promise.all([worker.waitUntilReady(), this.#events.waitUntilReady()]);
    return worker;
  }

  async add(accountId: string): Promise<Job<Charge>> {
    return await this.queue.add("charge", { accountId });
  }

  async resultOf(job: Job<Charge>): Promise<unknown> {
    return (await job.waitUntilFinished(this.#events)) as unknown;
  }

  async resultsOf(...jobs: Job<Charge>[]): Promise<unknown[]> {
    return await Promise.all(jobs.map(async (job) => await this.resultOf(job)));
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map(async (worker) => await worker.close()));
    await Promise.all([this.#events.close(), this.queue.close()]);
  }
}

const parts: Record<string, (ground: Ground, file: string) => Promise<void>> = {
  async "ready()"({ redlock }) {
    const report = await redlock.ready({ timeout: 20_000 });
    assert.equal(report.nodes.filter(({ votes }) => votes).length, 3);
  },

  async "two workers, hot keys, one master killed"(ground) {
    const station = new Station("hot", ground);
    const running = new Map<string, number>();
    const tokens = new Map<string, number[]>();
    let done = 0;
    const processor = async (job: Job<Charge>, _signal: AbortSignal, token: number) => {
      const { accountId } = job.data;
      assert.equal(running.get(accountId) ?? 0, 0, "two jobs of one account at the same time");
      running.set(accountId, 1);
      tokens.set(accountId, [...(tokens.get(accountId) ?? []), token]);
      await new Promise(setImmediate);
      done += 1;
      if (done === 6) await ground.masters.kill(0);
      running.set(accountId, 0);
      return "charged";
    };
    await Promise.all([station.work("delay", processor), station.work("delay", processor)]);
    const jobs = await Promise.all(
      Array.from({ length: 24 }, async (_, index) => await station.add(String(index % 3))),
    );
    const results = await station.resultsOf(...jobs);
    assert.deepEqual(new Set(results), new Set(["charged"]));
    for (const given of tokens.values()) {
      assert.deepEqual(
        given,
        [...new Set(given)].sort((a, b) => a - b),
        "tokens grow",
      );
    }
    await station.close();
  },

  async "onConflict delay"(ground) {
    const { station, first, second, parked, open } = await contend("delay", ground);
    await parked;
    open();
    assert.deepEqual(await station.resultsOf(first, second), ["ran", "ran"]);
    await station.close();
  },

  async "onConflict wait"(ground) {
    const { station, first, second, open } = await contend("wait", ground);
    await once(ground.redlock, "conflict");
    open();
    assert.deepEqual(await station.resultsOf(first, second), ["ran", "ran"]);
    await station.close();
  },

  async "onConflict skip"(ground) {
    const { station, first, second, open } = await contend("skip", ground);
    assert.equal(Reflect.get(Object(await station.resultOf(second)), "skipped"), true);
    open();
    assert.equal(await station.resultOf(first), "ran");
    await station.close();
  },

  async "onConflict fail"(ground) {
    const { station, first, second, open } = await contend("fail", ground);
    await assert.rejects(station.resultOf(second), /is held by/);
    open();
    assert.equal(await station.resultOf(first), "ran");
    await station.close();
  },

  async "onConflict keepLatest"(ground) {
    const { station, first, second, parked, open } = await contend("keepLatest", ground);
    await parked;
    const third = await station.add("a");
    const skipped = Object(await station.resultOf(second)) as object;
    assert.equal(Reflect.get(skipped, "reason"), "superseded");
    open();
    assert.deepEqual(await station.resultsOf(first, third), ["ran", "ran"]);
    await station.close();
  },

  async "onConflict cancelInProgress"(ground) {
    const { station, first, second } = await contend("cancelInProgress", ground);
    await assert.rejects(station.resultOf(first), /cancelled by/);
    assert.equal(await station.resultOf(second), "ran");
    await station.close();
  },

  async cancel(ground) {
    const station = new Station("cancel", ground);
    const started = new Gate();
    const worker = await station.work("delay", async (_job, signal) => {
      started.open();
      await once(signal, "abort");
      signal.throwIfAborted();
    });
    const job = await station.add("a");
    await started.passed;
    assert.equal(worker.cancelJob(job.id!, "stop it"), true);
    await assert.rejects(station.resultOf(job));
    assert.equal(await ground.redlock.isLocked("account:a"), false);
    await station.close();
  },

  async "a processor in a file"(ground, file) {
    const { redlock, connection } = ground;
    for (const useWorkerThreads of [false, true]) {
      const station = new Station(useWorkerThreads ? "thread" : "child", ground);
      const lock = { redlock, key: "account:{{data.accountId}}" };
      const options = { connection, useWorkerThreads, lock };
      await station.adopt(new LockedWorker<Charge>(station.queue.name, file, options));
      const told = Object(await station.resultOf(await station.add("a"))) as object;
      assert.deepEqual(Reflect.get(told, "keys"), ["account:a"]);
      assert.equal(Number(Reflect.get(told, "fencingToken")) > 0, true);
      await station.close();
    }
  },

  async "one copy, by import and by require"() {
    const required: unknown = createRequire(process.argv[1]!)("bullmq-redlock");
    assert.equal(Reflect.get(Object(required), "Redlock"), Redlock);
    assert.equal(Reflect.get(await import("bullmq-redlock"), "Redlock"), Redlock);
  },
};

/** A job that holds its key until the gate opens or it is cancelled, and a second one behind it. */
async function contend(onConflict: ConflictPolicy, ground: Ground) {
  const station = new Station(onConflict, ground);
  const [started, end] = [new Gate(), new Gate()];
  let runs = 0;
  await station.work(onConflict, async (_job, signal) => {
    runs += 1;
    if (runs > 1) return "ran";
    started.open();
    await Promise.race([end.passed, once(signal, "abort")]);
    signal.throwIfAborted();
    return "ran";
  });
  const first = await station.add("a");
  await started.passed;
  const parked = once(ground.redlock, "parked");
  const second = await station.add("a");
  return {
    first,
    second,
    parked,
    open: () => end.open(),
    station,
  };
}

async function main(file: string): Promise<void> {
  const [masters, queues] = await Promise.all([startRedisNodes(3), startRedisNodes(1)]);
  const redlock = new Redlock({ ...masters.redlockOptions, nodeTimeout: 3_000 });
  redlock.on("warning", () => undefined);
  const connection = { host: "127.0.0.1", port: queues.ports[0]! };
  for (const [name, run] of Object.entries(parts)) {
    await run({ masters, redlock, connection }, file);
    process.stdout.write(`${name}\n`);
  }
  await redlock.close();
  await Promise.all([masters.stop(), queues.stop()]);
}

main(process.argv[2]!).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});
