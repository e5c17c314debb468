import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import type { Script } from "./script.ts";
import { describeFarClock, parseServerInfo, unfitness } from "./server-info.ts";

/** What a connection has learned about the server that it leads to. */
export interface Server {
  /** Names the server process; empty when the server hides it. */
  readonly id: string;
  readonly startedAt: number | undefined;
}

/**
 * Prepares a new connection for calls.
 * @param farthestClock milliseconds by which the server's clock may differ from ours at most.
 * @throws {Error} that says why the server must not be used.
 */
export async function prepareServer(
  client: Redis,
  {
    db,
    script,
    clock,
    farthestClock,
  }: { db: number; script: Script; clock: Clock; farthestClock: number },
): Promise<Server> {
  // ioredis goes on in database 0 when its own SELECT fails.
  if (db !== 0) await client.select(db);
  const asked = clock.wall();
  // Alone: a server that wants a password hangs up on so long a text as the script, and its reason may be lost with it.
  const info = parseServerInfo(await client.info());
  const unfit = unfitness(info);
  if (unfit !== undefined) throw new Error(unfit.cause);
  const ours = { asked, answered: clock.wall(), farthest: farthestClock };
  const farClock = describeFarClock(info, ours);
  if (farClock !== undefined) throw new Error(farClock);
  await script.load(client);
  return {
    id: info.runId,
    startedAt: info.uptime === undefined ? undefined : clock.now() - info.uptime,
  };
}
