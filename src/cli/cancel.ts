import { setTimeout as sleep } from "node:timers/promises";
import type { Holder } from "../errors.ts";
import { printable } from "../printable.ts";
import type { Redlock } from "../redlock/redlock.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { readingWith } from "./connect.ts";
import { holderName } from "../describe/describe-key.ts";
import { duration, operator } from "../describe/words.ts";

/** Milliseconds between two checks whether it has stopped. */
const CHECK_INTERVAL = 100;

export async function cancel(invocation: Invocation): Promise<ExitCode> {
  const { operand: key, options, timeout, out } = invocation;
  const by = operator(options.reason);
  return await readingWith(invocation, async ({ redlock }) => {
    const { holder } = await redlock.inspect(key);
    const asked = await redlock.cancel(key, by);
    const stopped =
      holder === undefined ||
      (asked !== undefined && (await hasStopped(redlock, key, asked, timeout)));
    const result = { key, holder, asked: asked !== undefined, stopped };
    if (options.json === true) out.json(result);
    else out.say(describe(result, timeout));
    return stopped ? EXIT.ok : EXIT.finding;
  });
}

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
