import { readdir } from "node:fs/promises";
import { expect, test } from "vitest";
import { redisClient } from "../support/redis.ts";
import { makeFolder } from "./folders.ts";
import { findOrdinaryUser, isListening, runProgram, type RunningProgram } from "./run-program.ts";

const ordinaryUser = findOrdinaryUser();

interface Held extends RunningProgram {
  ports: readonly number[];
  tmp: string;
}

test("a parent killed with SIGKILL leaves no server, no frozen one either, no folder", async () => {
  const held = await holdNodes("hold");
  expect(await Promise.all(held.ports.map(isListening))).toEqual([true, true]);
  expect(await foldersOfNodes(held.tmp)).toHaveLength(1);

  held.child.kill("SIGKILL");

  await expectNothingLeft(held);
});

test.skipIf(ordinaryUser === undefined)(
  "an ordinary user without a cache gets servers, and none survives a SIGKILL",
  async () => {
    const home = await makeFolder();
    const held = await holdNodes("hold", {
      uid: ordinaryUser!,
      env: { HOME: home, XDG_CACHE_HOME: "", BULLMQ_REDLOCK_CACHE: "" },
    });
    expect(await Promise.all(held.ports.map(isListening))).toEqual([true, true]);

    held.child.kill("SIGKILL");

    await expectNothingLeft(held);
  },
);

test("a parent that forgets stop() ends by itself and leaves nothing", async () => {
  const held = await holdNodes("leave");
  expect(await held.ended).toEqual([0, null]);
  await expectNothingLeft(held);
});

test("a Ctrl-C, which goes to the whole process group, does not reach the servers", async () => {
  const held = await holdNodes("hold", { detached: true });
  const client = redisClient(`redis://127.0.0.1:${held.ports[0]}`, { retryStrategy: () => null });
  await client.ping();
  process.kill(-held.child.pid!, "SIGINT");
  expect(await held.next()).toEqual({ running: [true, true] });
  // A server that got the signal would end within 100 ms, before this key does.
  await client.set("a", "1", "PX", 500);
  await expect.poll(async () => await client.exists("a")).toBe(0);
  expect(await Promise.all(held.ports.map(isListening))).toEqual([true, true]);

  held.child.kill("SIGKILL");

  await expectNothingLeft(held);
});

async function holdNodes(
  mode: "hold" | "leave",
  how: { uid?: number; detached?: boolean; env?: NodeJS.ProcessEnv } = {},
): Promise<Held> {
  const tmp = await makeFolder();
  const program = await runProgram("hold-nodes", {
    ...how,
    args: [mode],
    env: { ...how.env, TMPDIR: tmp },
  });
  const { ports } = (await program.next()) as Pick<Held, "ports">;
  return { ...program, ports, tmp };
}

async function expectNothingLeft({ ports, tmp }: Held): Promise<void> {
  const patience = { interval: 20 };
  await expect
    .poll(async () => await Promise.all(ports.map(isListening)), patience)
    .toEqual(ports.map(() => false));
  await expect.poll(async () => await foldersOfNodes(tmp), patience).toEqual([]);
}

async function foldersOfNodes(tmp: string): Promise<string[]> {
  return (await readdir(tmp)).filter((name) => name.startsWith("bullmq-redlock-"));
}
