import { randomUUID } from "node:crypto";
import type { JobWorker } from "./job-worker.ts";

/** What a server is called whose address cannot be told: by nobody but this process. */
const HIDDEN = `process ${randomUUID()}`;

/**
 * Names the queue of a worker for lines: its server and its full name. Only who has a worker of the same home wakes its
 * parked jobs, or says that one is gone.
 * @param server what the user calls its server.
 * @returns `undefined` for a queue whose jobs are not to be woken: on PostgreSQL, `promote` is not atomic, and a job that
 * two processes promote may run twice.
 */
export function homeNameOf(
  { backend, opts, qualifiedName }: JobWorker,
  server: string | undefined,
): string | undefined {
  if (qualifiedName === undefined) return undefined;
  // BullMQ 5 knows nothing but Redis.
  if (backend !== undefined && !("redisPrefix" in backend)) return undefined;
  return `${server ?? addressOf(opts?.connection) ?? HIDDEN} ${qualifiedName}`;
}

/** `host:port/db` of a connection: options, a client of ioredis, or one of node-redis. */
function addressOf(connection: unknown): string | undefined {
  if (!isRecord(connection) || connection["isCluster"] === true) return undefined;
  const options = isRecord(connection["options"]) ? connection["options"] : connection;
  const { url, socket, sentinels, path } = options;
  // The address behind these may be another one tomorrow.
  if (sentinels !== undefined) return undefined;
  if (typeof url === "string") return addressInUrl(url);
  if (typeof path === "string") return path;
  const { host = "127.0.0.1", port = 6379 } = isRecord(socket) ? socket : options;
  const db = options["db"] ?? options["database"] ?? 0;
  if (typeof host !== "string" || typeof db !== "number") return undefined;
  return `${host}:${String(port)}/${db}`;
}

function addressInUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { hostname, port, pathname } = new URL(text);
  return `${hostname}:${port === "" ? "6379" : port}/${pathname.replaceAll("/", "") || "0"}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
