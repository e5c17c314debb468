import { setTimeout as delay } from "node:timers/promises";
import { ActiveTime } from "../active-time.ts";
import type { WorkerTask } from "../worker-processes.ts";
import { Journal } from "../journal.ts";
import { openClient } from "../lock-client.ts";
import { RemoteResource } from "../resource.ts";
import { drawWork, Sections } from "../section.ts";

/** Takes locks and uses the resource under them until it is told to end, or killed; writes down all that matters. */
const task = JSON.parse(process.argv[2] ?? "") as WorkerTask;
const { bounds, keys, terms } = task;
const journal = new Journal(task.folder, `worker-${process.pid}`);
const client = await openClient(task.contender, task.urls, terms);
const resource = new RemoteResource(task.socket);
const sections = new Sections(resource, journal);
const activeTime = new ActiveTime();
const ending = new AbortController();
/** What has not settled yet. */
const calls = new Set<{ readonly name: string }>();

process.on("unhandledRejection", (reason) => noteUnhandled(reason));
process.on("uncaughtException", (error) => noteUnhandled(error));
process.once("message", () => void end());
process.on("disconnect", () => process.exit());

const loops = Array.from({ length: task.tasks }, () => loop());

async function loop(): Promise<void> {
  while (!ending.signal.aborted) {
    const key = keys[Math.floor(Math.random() * keys.length)] ?? "";
    const hold = await bounded("acquire", client.hold(key));
    if (hold !== undefined) {
      await sections.work(key, hold, drawWork(terms.ttl));
      await bounded("release", hold.release());
      process.send?.("worked");
    }
    await delay(Math.random() * 20);
  }
}

/** Notes a call that takes longer, while the process runs, than it may. */
async function bounded<T>(name: keyof WorkerTask["bounds"], promise: Promise<T>) {
  const call = { name };
  const bound = bounds[name];
  calls.add(call);
  const startedAt = activeTime.now();
  try {
    return await promise;
  } catch (error) {
    journal.write({ what: "unexpected", message: `${name}: ${textOf(error)}` });
    return undefined;
  } finally {
    calls.delete(call);
    const ms = activeTime.now() - startedAt;
    if (ms > bound) journal.write({ what: "late", call: name, ms, bound });
  }
}

async function end(): Promise<void> {
  ending.abort();
  const settled = Promise.all(loops);
  await Promise.race([settled, activeTime.pass(bounds.acquire + bounds.release + 3 * terms.ttl)]);
  for (const { name } of calls) journal.write({ what: "unsettled", call: name });
  const closed = client.close().then(() => true);
  const isClosed = await Promise.race([closed, activeTime.pass(bounds.acquire).then(() => false)]);
  if (!isClosed) journal.write({ what: "unsettled", call: "close" });
  resource.close();
  process.exit();
}

function noteUnhandled(reason: unknown): void {
  journal.write({ what: "unhandled", message: textOf(reason) });
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
