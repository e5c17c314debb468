import { RedlockHandle } from "../../../src/handle/handle.ts";
import { Redlock } from "../../../src/index.ts";

/**
 * Locks, extends, waits, releases and closes, then does nothing more: whether this process ends is what is tested.
 * Prints "closed" when `close` has resolved.
 */
const redlock = new Redlock({
  nodes: process.argv.slice(2),
  restartGuard: false,
  ttl: 2_000,
  nodeTimeout: 300,
});

const [kept] = await Promise.all([redlock.acquire("kept"), redlock.acquire(["one", "other"])]);
await kept.extend();
await redlock.acquire("kept", { waitTimeout: 200 }).catch(() => undefined);
await redlock.using("used", { signal: new AbortController().signal }, () => undefined);
const handle = new RedlockHandle(redlock, "handled");
await handle.acquire();
await redlock.close();
process.stdout.write("closed\n");
