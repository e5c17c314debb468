import { Redis } from "ioredis";
import Redlock from "redlock";

/**
 * Takes a lock 50 times with the `redlock` package, and fails when somebody else is inside at the same time. Prints
 * "started" before the first round.
 */
const [name = "", ...urls] = process.argv.slice(2);
const clients = urls.map((url) => new Redis(url));
const [witness] = clients;
const redlock = new Redlock(clients, { retryCount: -1, retryDelay: 6, retryJitter: 4 });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

process.stdout.write("started\n");
for (let round = 0; round < 50; round++) {
  const lock = await redlock.acquire([name], 3_000);
  if ((await witness?.incr("inside")) !== 1) throw new Error("somebody else is inside");
  await pause(Math.random() * 4);
  if ((await witness?.decr("inside")) !== 0) throw new Error("somebody else came inside");
  await witness?.incr("rounds of theirs");
  await lock.release();
  await pause(Math.random() * 8);
}
for (const client of clients) client.disconnect();
