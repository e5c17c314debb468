import { LockConfigError, Redlock, withLock } from "bullmq-redlock";
import { loadLocks } from "bullmq-redlock/config";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { type LockSource, LOCKED } from "./messages.ts";
import { JOB } from "./round.ts";
import { UsageError } from "./input-file.ts";

const HELP = `Shows what one job at a time per entity means, with real servers and processes.

  npm start                                  deposits with and without the lock
  npm start -- --input FILE --key TEMPLATE   your own jobs, with the lock
  npm start -- --input FILE --config RULES   the same, by rules

  --input FILE     a file with one JSON value per line, each the data of a job
  --key TEMPLATE   what to lock for a job, made from its data
  --limit N        with --key: how many jobs of a key run at a time; default 1
  --config RULES   a rules file, which defines it for each queue and job; the
                   lock masters are those of the demo; a worker process that
                   receives SIGHUP reads the file again
  --queue NAME     with --config: the queue of the jobs; default ${LOCKED}
  --job NAME       with --config: the name of the jobs; default ${JOB}
  --help           this text

A template puts values of the job into a text, such as "order:{{data.orderId}}",
or, with a default, 'region:{{data.region ?? "none"}}'. Jobs with the same key
run one at a time; all other jobs run in parallel.

Exit code: 0 when every job was completed, or refused because it has no key;
1 when a line of FILE is not JSON or another problem occurred; 2 for a problem
with the command.
`;

const EXAMPLE = `--input orders.jsonl --key "order:{{data.orderId}}"`;
const EXAMPLE_OF_RULES = "--input orders.jsonl --config bullmq-redlock.yaml --queue orders";

/** What the command line asks for. */
export type Options =
  | { kind: "help"; text: string }
  | { kind: "deposits" }
  | { kind: "file"; path: string; lock: LockSource; queue: string; job: string };

/** Reads the command line. @throws {UsageError} */
export async function readOptions(args: string[]): Promise<Options> {
  const { help, input, key, limit, config, queue, job } = parse(args);
  if (help === true) return { kind: "help", text: HELP };
  if (config === undefined && (queue ?? job) !== undefined)
    throw new UsageError(
      `--queue and --job are for rules; add --config, as in ${EXAMPLE_OF_RULES}`,
    );
  if (key !== undefined && config !== undefined)
    throw new UsageError("--key and --config both say what to lock; leave one out");
  if (limit !== undefined && key === undefined)
    throw new UsageError(`--limit is for keys; add --key, as in ${EXAMPLE}`);
  if (input === undefined) {
    if (key !== undefined)
      throw new UsageError(`--key is for a file of your own; add --input, as in ${EXAMPLE}`);
    if (config !== undefined)
      throw new UsageError(
        `--config is for a file of your own; add --input, as in ${EXAMPLE_OF_RULES}`,
      );
    return { kind: "deposits" };
  }
  if (key === undefined && config === undefined)
    throw new UsageError(
      `--input needs a --key or a --config, which says what to lock, as in ${EXAMPLE}`,
    );
  if (input === "") throw new UsageError("--input needs the path of a file");
  const lock =
    key === undefined
      ? { rules: resolve(findFolder(), config ?? "") }
      : { key, limit: Number(limit ?? 1) };
  await checkLock(lock);
  const names = { queue: queue ?? LOCKED, job: job ?? JOB };
  return { kind: "file", path: resolve(findFolder(), input), lock, ...names };
}

function parse(args: string[]) {
  const text = { type: "string" } as const;
  try {
    const { values } = parseArgs({
      args,
      options: {
        input: text,
        key: text,
        limit: text,
        config: text,
        queue: text,
        job: text,
        help: { type: "boolean" },
      },
    });
    return values;
  } catch (error) {
    // Node explains in several sentences; the first one names the problem.
    const [first = ""] = (error as Error).message.split(/\.\s|\n/);
    throw new UsageError(`${first}; --help shows the options`);
  }
}

async function checkLock(lock: LockSource): Promise<void> {
  // A Redlock does not connect before its first lock.
  const nodes = [1, 2, 3].map(port);
  try {
    if ("key" in lock) {
      withLock({ redlock: new Redlock({ nodes }), ...lock }, async () => undefined);
    } else await (await loadLocks(lock.rules, { redlock: { nodes } })).close();
  } catch (error) {
    if (!(error instanceof LockConfigError)) throw error;
    throw new UsageError("key" in lock ? `--${error.message}` : `--config: ${error.message}`);
  }
}

function port(number: number): { port: number } {
  return { port: number };
}

/** The user's folder; npm runs scripts in the folder of the package. */
function findFolder(): string {
  const { npm_lifecycle_event: script, INIT_CWD: folder } = process.env;
  return script === "start" && folder !== undefined ? folder : process.cwd();
}
