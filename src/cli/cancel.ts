import { setTimeout as sleep } from "node:timers/promises";
import type { Holder } from "../errors.ts";
import { printable } from "../printable.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { ANSWER_TIMEOUT, readKey, readTimeout } from "./arguments.ts";
import { type Command, EXIT } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readingWith } from "./connect.ts";
import { holderName } from "../describe/describe-key.ts";
import { duration, operator } from "../describe/words.ts";

/** Bounds of `--timeout`: how long the holder has to stop, in ms. */
const STOP_TIMEOUT = { min: 10, max: 600_000, otherwise: 10_000 };
/** Milliseconds between two checks whether it has stopped. */
const CHECK_INTERVAL = 100;

export const cancel: Command = {
  summary: "ask the job that holds a key to stop",
  takes: [...MASTER_OPTIONS, "reason"],
  help: `Usage: bullmq-redlock cancel [options] KEY

Asks the job that holds a key to stop, and waits until it has: its signal aborts,
and the job fails for good with "cancelled by ...", unless its processor returns.
Only jobs whose onConflict is cancelInProgress or a function can be asked. Other
holders go on, and keep their lock.

${MASTER_HELP}
  --reason TEXT   the reason, for the error of the job
  --timeout TIME  how long the holder has to stop; default 10s
  --json          write JSON

  bullmq-redlock cancel account:42 --reason "wrong customer"

Exit code: 0 the holder has stopped, or the key is free; 1 the holder goes on;
2 wrong command line or rules file; 3 too few masters answered.`,
  async run(invocation) {
    const { options, out } = invocation;
    const key = readKey("cancel", invocation);
    const patience = readTimeout(options.timeout, STOP_TIMEOUT);
    const by = operator(options.reason);
    return await readingWith(
      invocation,
      async ({ redlock }) => {
        const { holder } = await redlock.inspect(key);
        const asked = await redlock.cancel(key, by);
        const stopped =
          holder === undefined ||
          (asked !== undefined && (await hasStopped(redlock, key, asked, patience)));
        const result = { key, holder, asked: asked !== undefined, stopped };
        if (options.json === true) out.json(result);
        else out.say(describe(result, patience));
        return stopped ? EXIT.ok : EXIT.finding;
      },
      Math.min(patience, ANSWER_TIMEOUT.otherwise),
    );
  },
};

interface Result {
  readonly key: string;
  readonly holder: Holder | undefined;
  readonly asked: boolean;
  readonly stopped: boolean;
}

function describe({ key, holder, asked, stopped }: Result, patience: number): string {
  if (holder === undefined) return `${printable(key)} is free`;
  const name = holderName(holder);
  if (stopped) return `${name} has stopped`;
  if (!asked) return `${name} does not use this library, and cannot be asked`;
  return `${name} was asked, and still runs after ${duration(patience)}: its onConflict may not be cancelInProgress, see --help`;
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
    await sleep(CHECK_INTERVAL);
  }
}
