import type { WaiterInspection } from "../redlock/inspect.ts";
import { printable } from "../printable.ts";
import { readTimeout } from "./arguments.ts";
import type { Command } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readLookOptions, withImpatientRedlock } from "./connect.ts";
import { describeWaiter } from "./describe-key.ts";
import { EXIT } from "./exit-code.ts";
import { onKey, PATIENCE, readKey } from "./inspect.ts";
import { table } from "./screen.ts";

export const waiters: Command = {
  summary: "all who wait for a key, in order",
  takes: MASTER_OPTIONS,
  help: `Usage: bullmq-redlock waiters [options] KEY

Lists all who are in line for a key, in the order in which they get it; inspect
shows the first 20. Changes nothing.

${MASTER_HELP}
  --timeout TIME  how long a master may take to connect, and to answer; default 2s
  --json          for programs; times are milliseconds since 1970

  bullmq-redlock waiters account:42

Exit code: 0 listed, also when nobody waits; 2 a mistake in the command or the
file; 3 too few masters answered.`,
  async run(call) {
    const key = readKey("waiters", call);
    const nodeTimeout = readTimeout(call.options.timeout, PATIENCE);
    const options = { ...(await readLookOptions(call)), nodeTimeout };
    return await withImpatientRedlock(options, async (redlock) => {
      const found: WaiterInspection[] = [];
      await onKey(async () => {
        for await (const waiter of redlock.waiters(key)) found.push(waiter);
      });
      if (call.options.json === true) call.out.json({ key, waiters: found });
      else if (found.length === 0) call.out.say(`nobody is in line for ${printable(key)}`);
      else {
        const now = Date.now();
        const rows = found.map((each, index) => [String(index + 1), describeWaiter(each, now)]);
        call.out.say(`${found.length} in line for ${printable(key)}`, ...table(rows));
      }
      return EXIT.ok;
    });
  },
};
