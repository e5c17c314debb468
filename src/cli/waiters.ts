import { printable } from "../printable.ts";
import type { WaiterInspection } from "../redlock/inspect.ts";
import { readKey } from "./arguments.ts";
import { type Command, EXIT } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readingWith, TIMEOUT_HELP } from "./connect.ts";
import { describeWaiter } from "../describe/describe-key.ts";
import { table } from "./screen.ts";
import { count } from "../describe/words.ts";

export const waiters: Command = {
  summary: "list all waiters of a key, in order",
  takes: MASTER_OPTIONS,
  help: `Usage: bullmq-redlock waiters [options] KEY

Lists all waiters of a key in the order in which they acquire it; inspect shows
the first 20. Changes nothing.

${MASTER_HELP}
${TIMEOUT_HELP}
  --json          write JSON; times are milliseconds since 1970

  bullmq-redlock waiters account:42

Exit code: 0 listed, even if the list is empty; 2 wrong command line or rules
file; 3 too few masters answered.`,
  async run(invocation) {
    const { options, out } = invocation;
    const key = readKey("waiters", invocation);
    return await readingWith(invocation, async ({ redlock }) => {
      const found: WaiterInspection[] = [];
      for await (const waiter of redlock.waiters(key)) found.push(waiter);
      if (options.json === true) out.json({ key, waiters: found });
      else {
        const now = Date.now();
        const rows = found.map((each, index) => [String(index + 1), describeWaiter(each, now)]);
        out.say(`${printable(key)} has ${count(found.length, "waiter")}`, ...table(rows));
      }
      return EXIT.ok;
    });
  },
};
