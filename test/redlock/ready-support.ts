import { RedlockOn } from "../../src/redlock/redlock.ts";
import { beforeAll } from "vitest";
import type { Redis } from "ioredis";
import type { Clock } from "../../src/clock.ts";
import { systemRandom } from "../../src/random.ts";
import { Master } from "../../src/redis/master.ts";
import type { RedlockOptions } from "../../src/redlock/options.ts";
import type { ReadyOptions } from "../../src/ready/ready.ts";
import type { Finding } from "../../src/ready/findings.ts";
import { NotReadyError, type ReadyReport } from "../../src/ready/report.ts";
import { Redlock } from "../../src/redlock/redlock.ts";
import { type RedisNodesOptions, startRedisNodes } from "../../src/testing/index.ts";
import { atEndOfFile } from "../support/end-of-file.ts";
import { redisClient } from "../support/redis.ts";

// Tests here run side by side, because each takes a second: all is closed with the file.
const opened: AsyncDisposable[] = [];

/** Closes what is open, for tests that run one after the other. */
export async function closeAll(): Promise<void> {
  for (const each of opened.splice(0)) await each[Symbol.asyncDispose]();
}

/** Closes something with the file. */
export function closing<T extends AsyncDisposable>(it: T): T {
  if (opened.push(it) === 1) atEndOfFile(closeAll);
  return it;
}

/** Masters for tests that run side by side and change nothing on them. */
export function sharedNodes(
  count = 3,
  options: RedisNodesOptions = { persistence: "always" },
): { urls: readonly string[]; ports: readonly number[]; clients: Redis[] } {
  const urls: string[] = [];
  const ports: number[] = [];
  const clients: Redis[] = [];
  beforeAll(async () => {
    const nodes = await startRedisNodes(count, options);
    urls.push(...nodes.urls);
    ports.push(...nodes.ports);
    clients.push(...nodes.urls.map((url) => redisClient(url)));
    return async () => await nodes.stop();
  });
  return { urls, ports, clients };
}

/** A client of new masters. */
export function redlock(
  nodes: readonly string[],
  options: RedlockOptions = {},
  clock?: Clock,
): Redlock {
  const all: RedlockOptions = { nodes, restartGuard: "trust-new", ...options };
  const made =
    clock === undefined
      ? new Redlock(all)
      : new RedlockOn(all, {
          clock,
          random: systemRandom,
          connect: (nodeOptions) => new Master(nodeOptions),
        });
  return closing(made.on("warning", () => {}));
}

/** As after the first use of the masters. */
export async function arm(nodes: readonly string[]): Promise<void> {
  const first = redlock(nodes);
  await (await first.acquire("first use")).release();
  await first.close();
}

/** The report, whether `ready()` fulfils or throws. */
export async function reportOf(client: Redlock, options: ReadyOptions = {}): Promise<ReadyReport> {
  try {
    return await client.ready(options);
  } catch (error) {
    if (error instanceof NotReadyError) return error.report;
    throw error;
  }
}

/** `severity code node's index`, `-` for all nodes. */
export function summary({ findings, nodes }: ReadyReport): string[] {
  const index = (node: string | undefined): string =>
    node === undefined ? "-" : String(nodes.findIndex((each) => each.node === node));
  return findings.map(({ severity, code, node }) => `${severity} ${code} ${index(node)}`);
}

/** The {@link summary} of what is found. */
export async function findings(client: Redlock, options: ReadyOptions = {}): Promise<string[]> {
  return summary(await reportOf(client, options));
}

/** All findings of one code. */
export function ofCode(code: string, { findings: found }: ReadyReport): Finding[] {
  return found.filter((finding) => finding.code === code);
}

/** What is stored on the masters, without the guards. */
export async function keysLeft(clients: readonly Redis[], pattern: string): Promise<string[]> {
  const keys = await Promise.all(clients.map(async (client) => await client.keys(pattern)));
  return [...new Set(keys.flat())].filter((key) => key !== "redlock:@node");
}
