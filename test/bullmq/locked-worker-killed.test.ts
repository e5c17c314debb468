import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { forkProgram } from "../support/program.ts";
import { useBench } from "./support.ts";

const PROGRAM = fileURLToPath(new URL("programs/locked-worker.ts", import.meta.url));
const FILE = new URL("programs/sandboxed.mjs", import.meta.url);

const bench = useBench();

/** Starts a worker whose child works on a job, kills the worker, and gives the child's connection to us. */
async function orphan(does: string): Promise<Socket> {
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port: room } = server.address() as AddressInfo;
  const connected = once(server, "connection");
  const task = { queueUrl: bench.queueUrl, masterUrls: bench.masterUrls, file: FILE.href };
  const worker = await forkProgram(PROGRAM, task);
  await bench.queue().add("charge", { account: "a", does, room });
  const [socket] = (await connected) as [Socket];
  // The other end of a process that was killed resets the connection.
  socket.on("error", () => undefined).resume();
  onTestFinished(() => void socket.destroy());
  const exit = once(worker, "exit");
  worker.kill("SIGKILL");
  await exit;
  return socket;
}

test("a child of a killed worker that listens for that ends before its key is free", async () => {
  const redlock = bench.redlock();
  const child = await orphan("stayUntilOrphaned");

  await redlock.acquire("account:a", { waitTimeout: 10_000 });

  expect(child.closed).toBe(true);
});

test("a child whose worker was killed goes on beside the next holder when it does not", async () => {
  const redlock = bench.redlock();
  const child = await orphan("stay");

  await redlock.acquire("account:a", { waitTimeout: 10_000 });

  expect(child.closed).toBe(false);
});
