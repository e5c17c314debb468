import { count } from "../sentences.ts";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { isAboutMasters, isAboutNodes } from "../config/check.ts";
import { LockRulesError } from "../config/problem.ts";
import { findFile, readRulesFile, type RulesFile } from "../config/rules-file.ts";
import { LockConfigError, LockKeyError } from "../errors.ts";
import { isPem } from "../redis/endpoint.ts";
import type { NodeOption } from "../redis/node-options.ts";
import { Master } from "../redis/master.ts";
import { REAL_RUNTIME } from "../redlock/make-context.ts";
import { REDLOCK_OPTIONS, type RedlockOptions } from "../redlock/options.ts";
import { answersOf, readKey, requireQuorum } from "../redlock/read-key.ts";
import { engineOf, type Redlock, RedlockOn } from "../redlock/redlock.ts";
import { UsageError } from "./arguments.ts";
import type { Invocation } from "./command.ts";

/** Process lists show command lines; URLs with passwords go into this variable. */
const VARIABLE = "BULLMQ_REDLOCK_NODES";

/**
 * Reads the options of the `Redlock` from the command line, the environment and the rules file.
 * @throws {UsageError} when no master is named; {@link LockRulesError} when the part of the file about masters is wrong. A
 * problem in the rules themselves becomes a note only.
 */
async function readMasters({
  options,
  notes,
  environment,
}: Invocation): Promise<{ masters: RedlockOptions; hasFile: boolean }> {
  const { config, prefix } = options;
  const certificates = tlsFilesIn(options);
  const nodes = options.node ?? (config === undefined ? nodesIn(environment) : undefined);
  if (certificates[0] !== undefined && nodes === undefined) {
    const [option] = certificates[0];
    throw new UsageError(
      `--${option} goes with --node or ${VARIABLE}; in the rules file, use tls.${TLS_FILES[option]} of a node`,
    );
  }
  const file = config === undefined && nodes === undefined ? await findFile(process.cwd()) : config;
  if (file === undefined && nodes === undefined) {
    throw new UsageError(
      `no masters given: expected --node redis://lock-1:6379 (repeated for each master), ${VARIABLE}, or --config FILE; found no bullmq-redlock.yaml in this folder or above`,
    );
  }
  const rules = file === undefined ? undefined : await readRulesFile(resolve(file), environment);
  const fromFile = rules === undefined ? {} : optionsOf(rules, nodes !== undefined, notes);
  const masters = {
    ...fromFile,
    ...(nodes === undefined ? {} : { nodes: await withCertificates(nodes, certificates) }),
    ...(prefix === undefined ? {} : { prefix }),
  };
  return { masters, hasFile: file !== undefined };
}

function nodesIn(environment: Invocation["environment"]): string[] | undefined {
  const urls = (environment[VARIABLE] ?? "").split(",").map((url) => url.trim());
  // An empty one among others comes from a variable that is not set: with fewer masters, locks would be weaker.
  return urls.every((url) => url === "") ? undefined : urls;
}

function hasTls(url: string): boolean {
  return /^rediss:/i.test(url);
}

/** The options that name a file, with the options of `tls.connect` that take its content. */
const TLS_FILES = { cacert: "ca", cert: "cert", key: "key" } as const;
type TlsFile = keyof typeof TLS_FILES;

function tlsFilesIn(options: Invocation["options"]): [option: TlsFile, file: string][] {
  return (Object.keys(TLS_FILES) as TlsFile[]).flatMap((option) => {
    const file = options[option];
    return file === undefined ? [] : [[option, file]];
  });
}

/** Adds certificates to each master with TLS. @throws {UsageError} when there is none, or a file cannot be read. */
async function withCertificates(
  urls: readonly string[],
  files: readonly [option: TlsFile, file: string][],
): Promise<readonly NodeOption[]> {
  const [first] = files;
  if (first === undefined) return urls;
  if (!urls.some(hasTls))
    throw new UsageError(`--${first[0]}: found no rediss:// master that it is for`);
  const tls: Partial<Record<(typeof TLS_FILES)[TlsFile], string>> = {};
  for (const [option, file] of files) tls[TLS_FILES[option]] = await readPem(option, file);
  return urls.map((url) => (hasTls(url) ? { url, tls } : url));
}

async function readPem(option: TlsFile, file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as { code?: string };
    throw new UsageError(`--${option}: ${file} cannot be read (${code})`);
  }
  if (isPem(text)) return text;
  throw new UsageError(`--${option}: ${file} is no PEM file, which contains -----BEGIN`);
}

function optionsOf(
  rules: RulesFile,
  areNodesGiven: boolean,
  notes: Invocation["notes"],
): RedlockOptions {
  const { file, problems, masters } = rules;
  const aboutMasters = problems.filter(
    (problem) => isAboutMasters(problem) && !(areNodesGiven && isAboutNodes(problem)),
  );
  // A problem without a path is one of the text itself.
  if (problems.some(({ path }) => path === "")) throw new LockRulesError(problems);
  if (aboutMasters.length > 0) throw new LockRulesError(aboutMasters);
  if (problems.length > 0) {
    notes.print(
      `${file} has ${count(problems.length, "problem")}; bullmq-redlock check-config shows them`,
    );
  }
  return masters;
}

/**
 * Runs a command that reads from the masters and acquires no lock. A first connection gets no longer than an answer: a
 * starting worker waits for its masters, an operator does not.
 * @throws {UsageError}
 */
export async function readingWith<T>(
  invocation: Invocation,
  use: (redlock: Redlock) => Promise<T>,
): Promise<T> {
  const { masters } = await readMasters(invocation);
  return await reading(invocation, masters, use);
}

/**
 * Runs a command that arms guards: it tells the masters how long its locks can be. A rules file says how long, as it does for its
 * workers. Without one the command keeps to what the masters know: a longer ttl would lengthen the quarantine of all clients for good,
 * and gets no vote while a master is down.
 * @param use when no master has answered, its `Redlock` arms no guard either.
 * @param needed the key that the command acquires; without one it goes on also when no quorum has answered.
 * @throws {UsageError}; {@link LockUnavailableError}
 */
export async function armingWith<T>(
  invocation: Invocation,
  use: (redlock: Redlock) => Promise<T>,
  needed?: string,
): Promise<T> {
  const { masters, hasFile } = await readMasters(invocation);
  if (hasFile) return await withRedlock(invocation, masters, use);
  const known = await reading(invocation, masters, async (redlock) => {
    const { context } = engineOf(redlock);
    const replies = await readKey(context, "any");
    if (needed !== undefined) requireQuorum(context, [needed], replies);
    const answers = answersOf(replies);
    return answers.length === 0
      ? undefined
      : Math.max(...answers.map(({ agreedTtl }) => agreedTtl));
  });
  const adopted = known === undefined ? { restartGuard: false } : known === 0 ? {} : paceOf(known);
  return await withRedlock(invocation, { ...masters, ...adopted }, use);
}

/** The options of a client whose locks last no longer than `longest` ms. It waits for masters as one with the default ttl does, if it can. */
function paceOf(longest: number): RedlockOptions {
  const ttl = Math.min(longest, REDLOCK_OPTIONS.ttl.default);
  return { ttl, maxTtl: longest, nodeTimeout: Math.max(10, Math.min(750, Math.floor(ttl / 4))) };
}

async function reading<T>(
  invocation: Invocation,
  { nodes, prefix, restartGuard }: RedlockOptions,
  use: (redlock: Redlock) => Promise<T>,
): Promise<T> {
  const { nodeTimeout } = invocation;
  const options = {
    ...(nodes === undefined ? {} : { nodes }),
    ...(prefix === undefined ? {} : { prefix }),
    ...(restartGuard === undefined ? {} : { restartGuard }),
    nodeTimeout,
    // Such a command acquires no lock; a ttl must outlast the answers all the same.
    ttl: Math.max(REDLOCK_OPTIONS.ttl.default, 2 * nodeTimeout),
  };
  const impatient = {
    ...REAL_RUNTIME,
    connect: (connection: ConstructorParameters<typeof Master>[0]) =>
      new Master({ ...connection, firstPatience: nodeTimeout }),
  };
  return await withRedlock(invocation, options, use, impatient);
}

/** Creates a `Redlock` for the time that `use` takes. @throws {UsageError} for a `--node` that is not a master. */
async function withRedlock<T>(
  invocation: Pick<Invocation, "options">,
  options: RedlockOptions,
  use: (redlock: Redlock) => Promise<T>,
  runtime = REAL_RUNTIME,
): Promise<T> {
  let redlock: Redlock;
  try {
    redlock = new RedlockOn(options, runtime);
  } catch (error) {
    if (!(error instanceof LockConfigError)) throw error;
    const source = invocation.options.node === undefined ? `${VARIABLE}, URL` : "--node";
    throw new UsageError(
      error.message.replaceAll(/\bnodes\[(\d+)\]/g, (_, i) => `${source} ${Number(i) + 1}`),
    );
  }
  // `doctor` reports what warnings report.
  redlock.on("warning", () => undefined);
  try {
    return await use(redlock);
  } catch (error) {
    throw error instanceof LockKeyError ? new UsageError(error.message) : error;
  } finally {
    await redlock.close();
  }
}
