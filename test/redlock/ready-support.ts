import { afterEach } from "vitest";
import type { Clock } from "../../src/clock.ts";
import { systemRandom } from "../../src/random.ts";
import { RedisNode } from "../../src/redis/redis-node.ts";
import type { Finding } from "../../src/redlock/findings.ts";
import type { RedlockOptions } from "../../src/redlock/options.ts";
import { NotReadyError, type ReadyOptions, type ReadyReport } from "../../src/redlock/ready.ts";
import { Redlock } from "../../src/redlock/redlock.ts";
import { redisClient } from "../support/redis.ts";

const opened: Redlock[] = [];

afterEach(async () => {
  for (const redlock of opened.splice(0)) await redlock.close();
});

/** A client of new masters, closed when the test ends. */
export function redlock(
  nodes: readonly string[],
  options: RedlockOptions = {},
  clock?: Clock,
): Redlock {
  const all: RedlockOptions = { nodes, restartGuard: "trust-new", ...options };
  const made =
    clock === undefined
      ? new Redlock(all)
      : new Redlock(all, {
          clock,
          random: systemRandom,
          connect: (nodeOptions) => new RedisNode(nodeOptions),
        });
  opened.push(made.on("warning", () => {}));
  return made;
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
export async function keysLeft(urls: readonly string[]): Promise<string[]> {
  const keys = await Promise.all(urls.map(async (url) => await redisClient(url).keys("*")));
  return [...new Set(keys.flat())].filter((key) => key !== "redlock:@node");
}
