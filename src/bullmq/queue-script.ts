import type { JobWorker } from "./job-worker.ts";

/** What BullMQ 6 makes of any client. */
interface AdaptedClient {
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void;
  runCommand(name: string, args: readonly string[]): Promise<unknown>;
}

/** BullMQ 5 gives the client of ioredis itself. */
type PlainClient = Pick<AdaptedClient, "defineCommand"> &
  Record<string, (key: string, argument: string) => Promise<unknown>>;

/** A script with one key and one argument, under a name of its own. */
export interface QueueScript {
  readonly name: string;
  readonly lua: string;
}

/** Runs a script in the Redis of a worker's queue. @throws what the connection of the queue throws. */
export async function runScript(
  worker: JobWorker,
  { name, lua }: QueueScript,
  key: string,
  argument: string,
): Promise<unknown> {
  const client: unknown = await (worker.backend ?? worker).client;
  const plain = client as PlainClient;
  plain.defineCommand(name, { numberOfKeys: 1, lua });
  const adapted = client as AdaptedClient;
  if (typeof adapted.runCommand === "function") {
    return await adapted.runCommand(name, [key, argument]);
  }
  return await plain[name]?.(key, argument);
}
