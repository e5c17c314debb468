import { count } from "../sentences.ts";
import { describeWaiter, holderName } from "../describe/describe-key.ts";
import { duration, shellWord } from "../describe/words.ts";
import { printable } from "../printable.ts";
import type { WakeResult } from "../redlock/wake.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { readingWith } from "./connect.ts";

export async function wake(invocation: Invocation): Promise<ExitCode> {
  const { operand: key, options, out } = invocation;
  return await readingWith(invocation, async (redlock) => {
    const result = await redlock.wake(key);
    if (options.json === true) out.json(result);
    else out.print(`${printable(key)} ${describe(result)}`);
    return EXIT.ok;
  });
}

function describe({ key, outcome, holder, waiter, expiresIn, waiting }: WakeResult): string {
  const first = waiter && describeWaiter({ ...waiter, priority: 0 }, Date.now());
  switch (outcome) {
    case "held":
      if (holder?.slot !== undefined) {
        return `has no free slot; one of its ${count(waiting, "waiter")} is woken when a slot is released`;
      }
      if (holder === undefined) {
        return `is not free, and most masters name no holder. This shows what they store: bullmq-redlock inspect ${shellWord(key)}`;
      }
      return waiting === 0
        ? `is held by ${holderName(holder)}, and has no waiters`
        : `is held by ${holderName(holder)}${expiresIn === undefined ? ", without an expiry" : ""}; its ${count(waiting, "waiter")} ${waiting === 1 ? "is" : "are"} woken when it is released`;
    case "woken":
      return `was free: it is reserved now for ${first}; a worker of its queue is told to wake it, if one runs`;
    case "reserved":
      return `is reserved for ${first}, for ${duration(expiresIn ?? 0)} more`;
    default:
      return waiting === 0
        ? "is free, and has no waiters"
        : `is free; none of its ${count(waiting, "waiter")} can be woken: their queues take up no jobs, or their limits are smaller`;
  }
}
