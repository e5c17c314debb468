import { Redis } from "ioredis";
import { duplicator, type Endpoint, parseEndpoint } from "../redis/endpoint.ts";
import type { NodeOption, RedisClient } from "../redis/node-options.ts";
import { parseServerInfo } from "../redis/server-info.ts";
import { messageOf } from "../sentences.ts";
import type { Probe } from "./probe.ts";
import type { QueueFacts } from "./rules.ts";

/** How a queue connects to its Redis: as a node of `nodes`, or through a Sentinel or a cluster. */
export type QueueConnection = NodeOption | object;

type QueueServer = Pick<Endpoint, "name" | "connect" | "db">;

/** Reads the connection of a queue; `undefined` when its server cannot be a lock master. */
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

function hasSentinels(options: unknown): options is object {
  return (
    typeof options === "object" &&
    options !== null &&
    "sentinels" in options &&
    Array.isArray(options.sentinels)
  );
}

/** Asks the queue's Redis for its run id. Never rejects. */
export async function askQueue(name: string, probe: Probe): Promise<QueueFacts> {
  try {
    const { runId } = parseServerInfo(await probe.ask((client) => client.info()));
    return runId === "" ? { name, failure: "no run_id in INFO" } : { name, runId };
  } catch (error) {
    return { name, failure: messageOf(error) };
  }
}
