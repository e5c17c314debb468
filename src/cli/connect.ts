import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { isAboutMasters } from "../config/check.ts";
import { findFile } from "../config/text-file.ts";
import { LockRulesError } from "../config/rules-error.ts";
import { readRulesFile, type RulesFile } from "../config/rules-file.ts";
import { LockConfigError } from "../errors.ts";
import type { NodeOption } from "../redis/endpoint.ts";
import type { RedlockOptions } from "../redlock/options.ts";
import { REAL_RUNTIME } from "../redlock/make-context.ts";
import { type Redlock, RedlockOn } from "../redlock/redlock.ts";
import { Master } from "../redis/master.ts";
import type { Call } from "./command.ts";
import { UsageError } from "./usage-error.ts";
import { count } from "./words.ts";

/** Says which masters: of all commands that ask them. */
export const MASTER_OPTIONS = ["config", "node", "cacert", "prefix", "timeout", "json"] as const;

/** The part of `--help` about them. */
export const MASTER_HELP = `  --config FILE   the rules file; default bullmq-redlock.yaml, .yml or .json here or above
  --node URL      a lock master, once for each, in place of those in the file; with a
                  password better in the environment: BULLMQ_REDLOCK_NODES, with
                  commas between the URLs
  --cacert FILE   the certificate authority of masters that are given so (rediss://)
  --prefix TEXT   put before every key on the masters; default that of the file, or "redlock:"`;

/**
 * Reads which masters are meant, and how they are used.
 * @throws {UsageError} when nobody says; {@link LockRulesError} when the file is wrong about it. What is wrong with the
 * rules themselves is but noted: it keeps nobody from looking.
 */
export async function readMasters({ options, notes, environment }: Call): Promise<RedlockOptions> {
  const { config, prefix, cacert } = options;
  const nodes = options.node ?? (config === undefined ? nodesIn(environment) : undefined);
  if (cacert !== undefined && nodes === undefined) {
    throw new UsageError(`--cacert goes with --node or ${VARIABLE}; in the file, it is tls.ca`);
  }
  const file = config === undefined && nodes === undefined ? await findFile(process.cwd()) : config;
  if (file === undefined && nodes === undefined) {
    throw new UsageError(
      "which masters? Give --node redis://lock-1:6379, once for each, BULLMQ_REDLOCK_NODES, or --config FILE; there is no bullmq-redlock.yaml here or above",
    );
  }
  const rules = file === undefined ? undefined : await readRulesFile(resolve(file), environment);
  const fromFile = rules === undefined ? {} : optionsOf(rules, nodes !== undefined, notes);
  return {
    ...fromFile,
    ...(nodes === undefined ? {} : { nodes: await trusting(nodes, cacert) }),
    ...(prefix === undefined ? {} : { prefix }),
  };
}

/** Where masters may be named: a list of processes shows what stands on a command line. */
const VARIABLE = "BULLMQ_REDLOCK_NODES";

function nodesIn(environment: Call["environment"]): string[] | undefined {
  const urls = (environment[VARIABLE] ?? "").split(",").map((url) => url.trim());
  const given = urls.filter((url) => url !== "");
  return given.length === 0 ? undefined : given;
}

/** Masters that show a certificate of this authority. @throws {UsageError} when its file cannot be read. */
async function trusting(
  urls: readonly string[],
  cacert: string | undefined,
): Promise<readonly NodeOption[]> {
  if (cacert === undefined) return urls;
  let ca: string;
  try {
    ca = await readFile(cacert, "utf8");
  } catch (error) {
    throw new UsageError(
      `--cacert: ${cacert} cannot be read (${(error as { code?: string }).code})`,
    );
  }
  return urls.map((url) => ({ url, tls: { ca } }));
}

/** As {@link readMasters}, of what one needs who looks but takes no lock. */
export async function readLookOptions(
  call: Call,
): Promise<Pick<RedlockOptions, "nodes" | "prefix" | "restartGuard">> {
  const { nodes, prefix, restartGuard } = await readMasters(call);
  return {
    ...(nodes === undefined ? {} : { nodes }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(restartGuard === undefined ? {} : { restartGuard }),
  };
}

/** Nobody waits longer for a first connection than for an answer: of a worker that starts, but not of an operator. */
const IMPATIENT = {
  ...REAL_RUNTIME,
  connect: (options: ConstructorParameters<typeof Master>[0]) =>
    new Master({ ...options, firstPatience: options.nodeTimeout }),
};

/** As {@link withRedlock}, for one who says with `nodeTimeout` how long a master may take, its first connection too. */
export async function withImpatientRedlock<T>(
  options: RedlockOptions & { nodeTimeout: number },
  use: (redlock: Redlock) => Promise<T>,
): Promise<T> {
  return await withRedlock(options, use, IMPATIENT);
}

/** Makes a `Redlock` that serves until `use` has settled. @throws {UsageError} for a `--node` that is none. */
export async function withRedlock<T>(
  options: RedlockOptions,
  use: (redlock: Redlock) => Promise<T>,
  runtime = REAL_RUNTIME,
): Promise<T> {
  let redlock: Redlock;
  try {
    redlock = new RedlockOn(options, runtime);
  } catch (error) {
    if (!(error instanceof LockConfigError)) throw error;
    throw new UsageError(
      error.message.replaceAll(/\bnodes\[(\d+)\]/g, (_, i) => `--node ${Number(i) + 1}`),
    );
  }
  // What it would warn about is told by `doctor`.
  redlock.on("warning", () => undefined);
  try {
    return await use(redlock);
  } finally {
    await redlock.close();
  }
}

function optionsOf(rules: RulesFile, areNodesGiven: boolean, notes: Call["notes"]): RedlockOptions {
  const { file, faults, problems, masters } = rules;
  const inTheWay = problems.filter(
    (problem) => isAboutMasters(problem) && !(areNodesGiven && problem.path[0] === "nodes"),
  );
  // Those without a path are about the text itself.
  if (faults.some(({ path }) => path === "")) throw new LockRulesError(faults);
  if (inTheWay.length > 0) throw new LockRulesError(rules.toFaults(inTheWay));
  if (faults.length > 0) {
    notes.say(`${file} has ${count(faults.length, "mistake")}; check-config shows them`);
  }
  return masters.options;
}
