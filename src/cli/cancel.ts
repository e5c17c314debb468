import { setTimeout as sleep } from "node:timers/promises";
import type { Holder } from "../errors.ts";
import { hostName } from "../host-name.ts";
import { printable } from "../printable.ts";
import { readHoldingJob, storedTextOf } from "../redlock/holder.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { readTimeout } from "./arguments.ts";
import type { Command } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readLookOptions, withImpatientRedlock } from "./connect.ts";
import { who } from "./describe-key.ts";
import { EXIT } from "./exit-code.ts";
import { onKey, PATIENCE, readKey } from "./inspect.ts";
import { duration } from "./words.ts";

/** How long the holder has to stop, in ms. */
const STOPPING = { min: 10, max: 600_000, otherwise: 10_000 };
/** Milliseconds between two looks at whether it has. */
const LOOK_INTERVAL = 100;

export const cancel: Command = {
  summary: "ask the job that holds a key to stop",
  takes: [...MASTER_OPTIONS, "reason"],
  help: `Usage: bullmq-redlock cancel [options] KEY

Asks the job that holds a key to stop, and waits until it has: its signal aborts,
and it fails for good with "cancelled by ...", unless its processor returns all
the same. Heard by jobs whose onConflict is cancelInProgress, or a function; other
holders go on, and nothing is taken from them.

${MASTER_HELP}
  --reason TEXT   why, for the error of the job
  --timeout TIME  how long the holder has to stop; default 10s
  --json          for programs

  bullmq-redlock cancel account:42 --reason "wrong customer"

Exit code: 0 the holder has stopped, or nobody holds the key; 1 it goes on; 2 a
mistake in the command or the file; 3 too few masters answered.`,
  async run(call) {
    const key = readKey("cancel", call);
    const { reason, json } = call.options;
    const patience = readTimeout(call.options.timeout, STOPPING);
    const nodeTimeout = Math.min(patience, PATIENCE.otherwise);
    const options = { ...(await readLookOptions(call)), nodeTimeout };
    const by = `an operator on ${hostName()}${reason === undefined ? "" : `: ${reason}`}`;
    return await withImpatientRedlock(options, async (redlock) => {
      const { holder } = await onKey(async () => await redlock.inspect(key));
      const asked = await redlock.cancel(key, by);
      const stopped =
        holder === undefined ||
        (asked !== undefined && (await hasStopped(redlock, key, asked, patience)));
      if (json === true) call.out.json({ key, holder, asked: asked !== undefined, stopped });
      else call.out.say(describe(key, { holder, asked: asked !== undefined, stopped, patience }));
      return stopped ? EXIT.ok : EXIT.finding;
    });
  },
};

function describe(
  key: string,
  {
    holder,
    asked,
    stopped,
    patience,
  }: { holder: Holder | undefined; asked: boolean; stopped: boolean; patience: number },
): string {
  if (holder === undefined) return `nobody holds ${printable(key)}`;
  const name = who({ holder, job: readHoldingJob(storedTextOf(holder)) });
  if (stopped) return `${name} has stopped`;
  if (!asked) return `${name} is another program, and was not asked`;
  return `${name} was asked, and goes on after ${duration(patience)}: it may not listen, see --help`;
}

async function hasStopped(
  redlock: Redlock,
  key: string,
  { fencingToken }: Holder,
  patience: number,
): Promise<boolean> {
  const until = performance.now() + patience;
  for (;;) {
    const { holder } = await redlock.inspect(key);
    if (holder?.fencingToken !== fencingToken) return true;
    if (performance.now() >= until) return false;
    await sleep(LOOK_INTERVAL);
  }
}
