import { LockConfigError, Redlock, withLock } from "bullmq-redlock";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { UsageError } from "./usage-error.ts";

const HELP = `Shows what one job at a time per entity means, with real servers and processes.

  npm start                                  deposits with and without the lock
  npm start -- --input FILE --key TEMPLATE   jobs of your own, with the lock

  --input FILE     a file with one JSON value a line; each is the data of a job
  --key TEMPLATE   what to lock for a job, made from its data
  --help           this text

A template puts values of the job into a text, such as "order:{{data.orderId}}",
or, with a default, 'region:{{data.region ?? "none"}}'. Jobs with the same key
run one after the other; all others run at the same time.

Exit code: 0 when every job was completed, or refused because it has no key;
1 when a line of FILE is not JSON or something else went wrong; 2 for a mistake
in the command.
`;

const EXAMPLE = `--input orders.jsonl --key "order:{{data.orderId}}"`;

/** What the user wants. */
export type Options =
  | { kind: "help"; text: string }
  | { kind: "deposits" }
  | { kind: "file"; path: string; key: string };

/** Reads the command line. @throws {UsageError} */
export function readOptions(args: string[]): Options {
  const { help, input, key } = parse(args);
  if (help === true) return { kind: "help", text: HELP };
  if (input === undefined && key === undefined) return { kind: "deposits" };
  if (input === undefined)
    throw new UsageError(`--key is for a file of your own; add --input, as in ${EXAMPLE}`);
  if (key === undefined)
    throw new UsageError(`--input needs a --key, which says what to lock, as in ${EXAMPLE}`);
  if (input === "") throw new UsageError("--input needs the path of a file");
  checkKey(key);
  return { kind: "file", path: resolve(findFolder(), input), key };
}

function parse(args: string[]) {
  try {
    const { values } = parseArgs({
      args,
      options: { input: { type: "string" }, key: { type: "string" }, help: { type: "boolean" } },
    });
    return values;
  } catch (error) {
    // Node explains in several sentences; the first says what is wrong.
    const [first = ""] = (error as Error).message.split(/\.\s|\n/);
    throw new UsageError(`${first}; --help shows the options`);
  }
}

function checkKey(key: string): void {
  try {
    // Nothing connects before the first lock.
    withLock({ redlock: new Redlock({ nodes: [1, 2, 3].map(port) }), key }, async () => undefined);
  } catch (error) {
    if (error instanceof LockConfigError) throw new UsageError(`--${error.message}`);
    throw error;
  }
}

function port(number: number): { port: number } {
  return { port: number };
}

/** The folder the user is in: npm runs scripts in that of the package. */
function findFolder(): string {
  const { npm_lifecycle_event: script, INIT_CWD: folder } = process.env;
  return script === "start" && folder !== undefined ? folder : process.cwd();
}
