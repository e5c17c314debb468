import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { Redlock } from "../../src/index.ts";
import { useRedisNodes } from "../support/redis.ts";

const nodes = useRedisNodes(4);
const ROOT = join(import.meta.dirname, "../..");

/** Meets everything that is logged, with the last of its masters down, and prints how many listeners a new Redlock has. */
const PROGRAM = `
import { Queue, Worker } from "bullmq";
import { Redlock, withLock } from "./dist/index.js";
const [queueUrl, ...urls] = process.argv.slice(1);
const redlock = new Redlock({ nodes: urls, restartGuard: "trust-new", ttl: 3_000, nodeTimeout: 250 });
console.log(redlock.eventNames().length);
const next = (event) => new Promise((resolve) => redlock.once(event, resolve));
redlock.on("warning", () => {});
const held = await redlock.acquire("account:1", { holder: "an import" });
const connection = { url: queueUrl };
const worker = new Worker("invoices", withLock({ redlock, key: "account:1" }, async () => {}), { connection });
const queue = new Queue("invoices", { connection });
const parked = next("parked");
const completed = new Promise((resolve) => worker.once("completed", resolve));
await queue.add("a", {}, { jobId: "one" });
await parked;
await held.release();
await completed;
const lost = next("lost");
const victim = await redlock.acquire("account:2");
await redlock.forceRelease("account:2", { reason: "a test" });
await lost;
await victim.release();
await worker.close();
await queue.close();
await redlock.close();
process.exit();
`;

async function run(env: NodeJS.ProcessEnv): Promise<{ stdout: string; stderr: string }> {
  const [queue = "", ...masters] = nodes.urls;
  return await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "-e", PROGRAM, queue, ...masters],
    { cwd: ROOT, env: { ...process.env, ...env } },
  );
}

it("logs locks, waiters and masters, a line each, under NODE_DEBUG=bullmq-redlock", async () => {
  // So that the masters vote.
  const before = new Redlock({ ...nodes.redlockOptions, nodes: nodes.urls.slice(1), ttl: 3_000 });
  await (await before.acquire("any")).release();
  await before.close();
  await nodes.kill(3);
  const { stderr } = await run({ NODE_DEBUG: "bullmq-redlock" });
  const prefix = /^BULLMQ-REDLOCK \d+: /;
  const lines = stderr.trim().split("\n");
  expect(lines.filter((line) => !prefix.test(line))).toEqual([]);
  const texts = lines.map((line) => line.replace(prefix, "").replaceAll(/\d{2,}/g, "#"));
  for (const expected of [
    /^node:up \{ node: '#\.0\.0\.1:#' \}$/,
    /^node:down \{ node: '#\.0\.0\.1:#', cause: '.*ECONNREFUSED/,
    /^acquired \{ keys: \[ 'account:1' \], fencingToken: #, /,
    /^conflict \{ .*holder: \{ text: 'an import', .* job: 'bull:invoices:one'/,
    /^parked \{ keys: \[ 'account:1' \], job: 'bull:invoices:one', .*reason: 'conflict', delay: #/,
    /^released \{ keys: \[ 'account:1' \], .*outcome: 'released'/,
    /^woken \{ job: 'bull:invoices:one', queue: 'invoices' \}$/,
    /^acquired \{ keys: \[ 'account:1' \], .*job: 'bull:invoices:one'/,
    /^lost \{ .*error: 'LockLostError: the lock on "account:2" was lost after # ms: no majority/,
    /^released \{ keys: \[ 'account:2' \], .*outcome: 'expired'/,
  ]) {
    expect(texts).toContainEqual(expect.stringMatching(expected));
  }
});

it("listens to nothing without NODE_DEBUG", async () => {
  expect(await run({ NODE_DEBUG: "http" })).toEqual({ stdout: "0\n", stderr: "" });
});
