import { Redlock } from "../../../dist/index.js";
import { OURS } from "../contenders.ts";
import { processMemory, serverMemory } from "../process-memory.ts";
import type { Scenario } from "../scenario.ts";

/** Locks held at the same time. */
const LOCKS = 100_000;
/** Locks acquired at once. */
const BULK = 1_000;
/** Milliseconds: no heartbeat comes while the memory is measured. */
const LONG_TTL = 1_500_000;

/** What a held lock takes, in the process and on a master. */
export const heldMemory: Scenario = {
  name: "held-memory",
  title: `Memory of ${LOCKS.toLocaleString("en")} held locks`,
  text:
    "Heap and other memory of the process after a garbage collection, and `used_memory` of a master, with the locks held and " +
    "after their release, less what they were before, by the number of locks. A master remembers the fence of each key for an hour.",
  nodes: 3,
  rounds: 1,
  contenders: [OURS],
  columns: [
    { figure: "heap", title: "process, bytes a lock", digits: 0 },
    { figure: "master", title: "master, bytes a lock", digits: 0 },
    { figure: "heapLeft", title: "process after the release, bytes a lock", digits: 0 },
    { figure: "masterLeft", title: "master after the release, bytes a lock", digits: 0 },
  ],
  async prepare(_contender, urls) {
    const [url = ""] = urls;
    const redlock = new Redlock({ nodes: [...urls], ttl: LONG_TTL, restartGuard: "trust-new" });
    const ofLocks = async (first: number, last: number): Promise<void> => {
      const locks = await acquireAll(redlock, first, last);
      await Promise.all(locks.map((lock) => lock.release()));
    };
    await ofLocks(-2 * BULK, 0);
    return {
      async run() {
        const before = await processMemory();
        const masterBefore = await serverMemory(url);
        let locks = await acquireAll(redlock, 0, LOCKS);
        const heap = (await processMemory()) - before;
        const master = (await serverMemory(url)) - masterBefore;
        for (let i = 0; i < locks.length; i += BULK) {
          await Promise.all(locks.slice(i, i + BULK).map((lock) => lock.release()));
        }
        locks = [];
        return {
          heap: heap / LOCKS,
          master: master / LOCKS,
          heapLeft: ((await processMemory()) - before) / LOCKS,
          masterLeft: ((await serverMemory(url)) - masterBefore) / LOCKS,
        };
      },
      close: () => redlock.close(),
    };
  },
};

async function acquireAll(
  redlock: Redlock,
  first: number,
  last: number,
): Promise<Awaited<ReturnType<Redlock["acquire"]>>[]> {
  const locks = [];
  for (let from = first; from < last; from += BULK) {
    const bulk = Array.from({ length: BULK }, (_, i) => redlock.acquire(`memory:${from + i}`));
    locks.push(...(await Promise.all(bulk)));
  }
  return locks;
}
