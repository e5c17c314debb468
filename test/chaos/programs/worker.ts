import { setTimeout as delay } from "node:timers/promises";
import type { Hold } from "../../../bench/src/contender.ts";
import { ActiveTime } from "../active-time.ts";
import { Journal, monotonic } from "../journal.ts";
import { openClient } from "../lock-client.ts";
import { RemoteResource, type Use } from "../resource.ts";
import type { WorkerTask } from "../crew.ts";

/** Takes locks and uses the resource under them until it is told to end, or killed; writes down all that matters. */
const task = JSON.parse(process.argv[2] ?? "") as WorkerTask;
const journal = new Journal(task.folder, `worker-${process.pid}`);
const client = await openClient(task.contender, task.urls, task.terms);
const resource = new RemoteResource(task.socket);
const activeTime = new ActiveTime();
const calls = new Set<string>();
let sections = 0;
let isEnding = false;

/** Milliseconds between two looks at a lock. */
const LOOK_EVERY = 20;

process.on("unhandledRejection", (reason) => noteUnhandled(reason));
process.on("uncaughtException", (error) => noteUnhandled(error));
process.once("message", () => void end());
process.on("disconnect", () => process.exit());

const loops = Array.from({ length: task.tasks }, () => loop());

async function loop(): Promise<void> {
  while (!isEnding) {
    const key = task.keys[Math.floor(Math.random() * task.keys.length)] ?? "";
    const hold = await bounded("acquire", task.bounds.acquire, client.hold(key));
    if (hold !== undefined) {
      await use(key, hold);
      await bounded("release", task.bounds.release, hold.release());
      if (process.connected) process.send?.("worked");
    }
    await delay(Math.random() * 20);
  }
}

/** Mostly short, sometimes longer than a ttl. */
function workingTime(): number {
  return Math.random() < 0.9 ? Math.random() * 25 : Math.random() * 2.2 * task.terms.ttl;
}

async function use(key: string, hold: Hold): Promise<void> {
  const section = `${process.pid}:${(sections += 1)}`;
  const token = hold.fencingToken ?? 0;
  let lost = false;
  /** Notes what the lock says: a time at which it was held, taken before it was asked. */
  const look = (): void => {
    if (lost) return;
    const at = monotonic();
    const until = endOf(hold, at);
    lost = hold.lost;
    journal.write(lost ? { what: "lost", section, at } : { what: "held", section, at, until });
  };
  const write = async (verb: Use["verb"]): Promise<void> => {
    const answer = await resource.use({ verb, key, section, token });
    look();
    if (answer === "late" && token !== 0 && !lost) journal.write({ what: "inverted", section });
  };

  const at = monotonic();
  const until = endOf(hold, at);
  // It may have ended before its user came to see it.
  if (hold.lost) return;
  journal.write({ what: "entered", section, key, pid: process.pid, token, at, until });
  const looks = setInterval(look, LOOK_EVERY);
  await write("claim");
  await delay(workingTime());
  // Without asking the lock: a process that was paused does just this.
  await write("write");
  clearInterval(looks);
  const doneAt = monotonic();
  if (!lost) journal.write({ what: hold.lost ? "lost" : "left", section, at: doneAt });
}

/** Until when the lock is held, whatever happens; `null` when the library does not tell. */
function endOf(hold: Hold, at: number): number | null {
  return hold.remaining === undefined ? null : at + hold.remaining();
}

/** Notes a call that takes longer, while the process runs, than it may. */
async function bounded<T>(
  call: string,
  bound: number,
  promise: Promise<T>,
): Promise<T | undefined> {
  const name = `${call} ${(sections += 1)}`;
  calls.add(name);
  const startedAt = activeTime.now();
  try {
    return await promise;
  } catch (error) {
    journal.write({ what: "unexpected", message: `${call}: ${textOf(error)}` });
    return undefined;
  } finally {
    calls.delete(name);
    const ms = activeTime.now() - startedAt;
    if (ms > bound) journal.write({ what: "late", call, ms, bound });
  }
}

async function end(): Promise<void> {
  isEnding = true;
  const longest = task.bounds.acquire + task.bounds.release + 3 * task.terms.ttl;
  const patience = new AbortController();
  await Promise.race([
    Promise.all(loops),
    delay(longest, undefined, { signal: patience.signal }).catch(() => undefined),
  ]);
  patience.abort();
  for (const call of calls) journal.write({ what: "unsettled", call });
  await Promise.race([client.close(), delay(task.bounds.release + task.terms.ttl)]);
  resource.close();
  process.exit();
}

function noteUnhandled(reason: unknown): void {
  journal.write({ what: "unhandled", message: textOf(reason) });
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
