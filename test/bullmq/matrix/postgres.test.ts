import { createPostgresBackend, type Job, type Processor, withBackend, type Worker } from "bullmq";
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { withLock } from "../../../src/index.ts";
import { LockedWorker } from "../../../src/worker.ts";
import { findPostgres, type Postgres, startPostgres } from "../../support/postgres.ts";
import { redisClient } from "../../support/redis.ts";
import { aborted, type End, ends, next, useBench } from "../support.ts";
import { contend } from "./contend.ts";
import { postgresLane, redisLane } from "./lane.ts";

const KEY = "account:{{data.account}}";
const FILE = new URL("../programs/sandboxed.mjs", import.meta.url);

const programs = await findPostgres();
const bench = useBench();
const { Queue, Worker: PostgresWorker } = withBackend(createPostgresBackend);

/** Gives the key to another holder, or frees it, on two of three masters. */
async function setOnTwo(value: string | undefined): Promise<void> {
  for (const url of bench.masterUrls.slice(0, 2)) {
    const client = redisClient(url);
    await (value === undefined
      ? client.del("redlock:account:a")
      : client.set("redlock:account:a", value));
  }
}

describe.skipIf(programs === undefined)("PostgreSQL (skipped where it is not installed):", () => {
  let postgres: Postgres;

  beforeAll(async () => {
    postgres = await startPostgres(programs!);
  });

  afterAll(async () => {
    await postgres.stop();
  });

  /** Adds one job to a new queue, and gives how it ended. */
  async function endOf(processor: Processor | URL, does: string): Promise<End> {
    const name = `queue-${randomUUID()}`;
    const connection = { connectionString: postgres.url };
    const queue = new Queue(name, { connection: { ...connection, migrate: true } });
    await queue.waitUntilReady();
    const lock = { redlock: bench.redlock(), key: KEY };
    const worker =
      processor instanceof URL
        ? new LockedWorker(name, processor, { connection, lock }, createPostgresBackend)
        : new PostgresWorker(name, processor, { connection });
    onTestFinished(async () => {
      await worker.close();
      await queue.close();
    });
    const done = ends(worker as Worker, 1);
    await queue.add("charge", { account: "a", does });
    return (await done)[0]!;
  }

  test("jobs on one key run one at a time, in one attempt, and keep their priorities", async () => {
    await contend(bench.redlock(), [await postgresLane(postgres.url)]);
  });

  test("so do those of a queue there and of one on Redis", async () => {
    await contend(bench.redlock(), [await postgresLane(postgres.url), redisLane(bench.queueUrl)]);
  });

  test("a job that lost its lock is delayed without an attempt, at most three times", async () => {
    let losses = 0;
    const redlock = bench.redlock();

    const { error, job } = await endOf(
      withLock({ redlock, key: KEY }, async (_job: Job, _token, signal) => {
        await setOnTwo("another holder");
        await aborted(signal);
        losses += 1;
        await setOnTwo(undefined);
      }),
      "lose",
    );

    expect(losses).toBe(4);
    expect(error).toMatchObject({ code: "ERR_REDLOCK_LOST", reason: "taken" });
    expect(job.attemptsMade).toBe(1);
  });

  test("maxWait is ignored, and a warning says so", async () => {
    const redlock = bench.redlock();
    const warned = next(redlock, "warning");
    const lock = await redlock.acquire("account:a");
    let parked = 0;
    redlock.on("parked", () => {
      if (++parked === 3) void lock.release();
    });

    const { result } = await endOf(
      withLock({ redlock, key: KEY, maxWait: 1 }, async (): Promise<unknown> => "ran"),
      "wait",
    );

    expect(result).toBe("ran");
    expect(await warned).toMatchObject({ code: "max-wait-ignored" });
  });

  test("a processor in a file runs under its lock", async () => {
    const { result, job } = await endOf(FILE, "token");

    expect(result).toContain(":");
    expect(job.attemptsMade).toBe(1);
  });
});
