import { describeWaiter, holderName } from "../describe/describe-key.ts";
import { count, duration } from "../describe/words.ts";
import { printable } from "../printable.ts";
import type { WakeResult } from "../redlock/wake.ts";
import { readKey } from "./arguments.ts";
import { type Command, EXIT } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readingWith, TIMEOUT_HELP } from "./connect.ts";

export const wake: Command = {
  summary: "check the wait list of a key now, and wake its first waiter",
  takes: MASTER_OPTIONS,
  help: `Usage: bullmq-redlock wake [options] KEY

Checks the wait list of a key now. If the key is free, reserves it for the first waiter
and wakes that waiter. Workers do the same within seconds; use this when the waiters of
a free key do not move. A key that is held stays as it is.

${MASTER_HELP}
${TIMEOUT_HELP}
  --json          write JSON; durations are milliseconds

  bullmq-redlock wake account:42

Exit code: 0 checked, whatever was found; 2 wrong command line or rules file; 3 too few
masters answered.`,
  async run(invocation) {
    const { options, out } = invocation;
    const key = readKey("wake", invocation);
    return await readingWith(invocation, async ({ redlock }) => {
      const result = await redlock.wake(key);
      if (options.json === true) out.json(result);
      else out.say(`${printable(key)} ${describe(result)}`);
      return EXIT.ok;
    });
  },
};

function describe({ outcome, holder, waiter, expiresIn, waiting }: WakeResult): string {
  const first = waiter && describeWaiter({ ...waiter, priority: 0 }, Date.now());
  switch (outcome) {
    case "held":
      if (holder?.slot !== undefined) {
        return `has no free slot; one of its ${count(waiting, "waiter")} is woken when a slot is released`;
      }
      return waiting === 0
        ? `is held by ${holderName(holder)}, and has no waiters`
        : `is held by ${holderName(holder)}; its ${count(waiting, "waiter")} ${waiting === 1 ? "is" : "are"} woken when it is released`;
    case "woken":
      return `was free: it is reserved for ${first} now, which is being woken`;
    case "reserved":
      return `is reserved for ${first}, for ${duration(expiresIn ?? 0)} more`;
    default:
      return waiting === 0
        ? "is free, and has no waiters"
        : `is free; the queues of its ${count(waiting, "waiter")} do not take up jobs`;
  }
}
