import { Redis } from "ioredis";
import { duplicator, type Endpoint, parseEndpoint } from "../redis/endpoint.ts";
import type { NodeOption, RedisClient } from "../redis/node-options.ts";
import type { Probe } from "../redis/probe.ts";
import { parseServerInfo } from "../redis/server-info.ts";
import type { QueueFacts } from "./judge-nodes.ts";

/** How a queue connects to its Redis: as a master may be given, or behind a Sentinel, or a cluster. */
export type QueueConnection = NodeOption | object;

/** A Redis of a queue that we can connect to. */
export type QueueServer = Pick<Endpoint, "name" | "connect" | "db">;

/** Understands the connection of a queue; `undefined` when its server can be no master of ours. */
export function parseQueue(path: string, queue: unknown): QueueServer | undefined {
  if (typeof queue !== "object" || queue === null) return parseEndpoint(path, queue);
  // The servers of a cluster are refused as masters.
  if ("isCluster" in queue && queue.isCluster === true) return undefined;
  const name = "the queue's Redis behind Sentinel";
  if ("options" in queue && "duplicate" in queue && hasSentinels(queue.options)) {
    return { name, db: 0, connect: duplicator(queue as RedisClient) };
  }
  if (hasSentinels(queue)) {
    return {
      name,
      db: 0,
      connect: (dedicated) => new Redis({ ...queue, ...dedicated, replyMapping: "legacy" }),
    };
  }
  return parseEndpoint(path, queue);
}

/**
 * The name of the master that a queue's connection leads to, by the address as it is written; that a server has other
 * addresses is not known here.
 */
export function findMasterAt(masters: readonly Endpoint[], queue: unknown): string | undefined {
  try {
    const { address } = parseEndpoint("connection", queue);
    return masters.find((master) => master.address === address)?.name;
  } catch {
    // Several servers, a cluster, another database: none of our masters.
    return undefined;
  }
}

function hasSentinels(options: unknown): options is object {
  return (
    typeof options === "object" &&
    options !== null &&
    "sentinels" in options &&
    Array.isArray(options.sentinels)
  );
}

/** Asks the queue's Redis who it is. Never rejects. */
export async function askQueue(name: string, probe: Probe): Promise<QueueFacts> {
  try {
    const { runId } = parseServerInfo(await probe.ask((client) => client.info()));
    return runId === "" ? { name, failure: "no run_id in INFO" } : { name, runId };
  } catch (error) {
    return { name, failure: error instanceof Error ? error.message : String(error) };
  }
}
