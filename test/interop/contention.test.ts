import { RedlockHandle } from "../../src/handle/handle.ts";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { expect, onTestFinished, test } from "vitest";
import { letPass } from "../hazards/support.ts";
import { bundled } from "../support/bundle.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { type Dialect, nodeRedlock4, redlockPy, redsync } from "./dialects.ts";
import { type Peer, packagedPeer, speak } from "./peer.ts";
import { connectOurs, STORED } from "./support.ts";

const nodes = useRedisNodes(3);
const TTL = 3_000;

/** Up to so many milliseconds. */
const upTo = (ms: number): number => Math.random() * ms;

/** Tries until it gets the lock, as the other programs do: at random intervals. */
async function inTurn(peer: Peer, work: () => Promise<void>): Promise<void> {
  for (;;) {
    const lock = await peer.tryLock([STORED], TTL);
    if (lock !== undefined) {
      await work();
      expect(await lock.release()).toBe(true);
      return;
    }
    await letPass(2 + upTo(8));
  }
}

async function rounds(reservation: () => Promise<void>): Promise<void> {
  for (let round = 0; round < 25; round++) {
    await reservation();
    await letPass(upTo(8));
  }
}

test("200 rounds of both kinds of clients on one key have one holder at a time", async () => {
  const clients = redisClients(nodes);
  const handles = await Promise.all(
    [1, 2, 3, 4].map(
      async () =>
        new RedlockHandle(await connectOurs(nodes, { ttl: TTL }), "account", {
          retryTimes: 10_000,
          retryDelay: 10,
        }),
    ),
  );
  const others = [redlockPy, redsync, nodeRedlock4].map((dialect: Dialect) =>
    speak(dialect, clients),
  );
  const peers = [...others, packagedPeer(clients)];
  let inside = 0;
  const order: string[] = [];
  const hold = async (kind: string): Promise<void> => {
    inside += 1;
    expect(inside).toBe(1);
    order.push(kind);
    await letPass(upTo(4));
    expect(inside).toBe(1);
    inside -= 1;
  };
  await Promise.all([
    ...handles.map((handle) => rounds(() => handle.using(() => hold("ours")))),
    ...peers.map((peer) => rounds(() => inTurn(peer, () => hold("theirs")))),
  ]);

  expect(order).toHaveLength(200);
  // Neither waits for the other to be done.
  for (const half of [order.slice(0, 100), order.slice(100)]) {
    expect(half.filter((kind) => kind === "ours").length).toBeGreaterThan(10);
    expect(half.filter((kind) => kind === "theirs").length).toBeGreaterThan(10);
  }
});

test("two processes, ours and one that runs the package, are never both inside", async () => {
  const clients = redisClients(nodes);
  const redlock = await connectOurs(nodes, { ttl: TTL });
  const theirs = await startPackageProgram();
  await theirs.started;
  let rounds = 0;

  while (theirs.child.exitCode === null) {
    const lock = await redlock.tryAcquire("account");
    if (lock !== null) {
      await occupy(clients[0]!);
      rounds += 1;
      await lock.release();
    }
    await letPass(upTo(8));
  }

  expect(theirs.child.exitCode).toBe(0);
  expect(await clients[0]!.get("inside")).toBe("0");
  expect(Number(await clients[0]!.get("rounds of theirs"))).toBe(50);
  expect(rounds).toBeGreaterThan(10);
});

/** Is inside for a while, as only one may be. */
async function occupy(client: Redis): Promise<void> {
  expect(await client.incr("inside")).toBe(1);
  await letPass(upTo(4));
  expect(await client.decr("inside")).toBe(0);
}

async function startPackageProgram() {
  const path = join(import.meta.dirname, "programs", "package-rounds.ts");
  const child = spawn(process.execPath, [await bundled(path), STORED, ...nodes.urls], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  return { child, started: once(child.stdout, "data") };
}
