import { refuseValue } from "../check-options.ts";
import { readFile, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { check, type Checked } from "./check.ts";
import type { Environment } from "./environment.ts";
import { LockRulesError, NOWHERE, type RulesProblem, wrongValue } from "./problem.ts";
import { showLine, showPath } from "./shown.ts";

/** The names of rules files. */
export const FILE_NAMES = ["bullmq-redlock.yaml", "bullmq-redlock.yml", "bullmq-redlock.json"];

/**
 * Finds the rules file in a folder or in the nearest one above it; `undefined` when there is none.
 * @throws {LockConfigError} when one folder has two of them.
 */
export async function findFile(folder: string): Promise<string | undefined> {
  for (let at = resolve(folder); ; at = dirname(at)) {
    const there = await Promise.all(FILE_NAMES.map(async (name) => await isFile(join(at, name))));
    const found = FILE_NAMES.filter((_, index) => there[index]);
    if (found.length > 1) {
      refuseValue("file", `${found.join(" and ")} in ${at}`, "one of them");
    }
    if (found[0] !== undefined) return join(at, found[0]);
    if (at === dirname(at)) return undefined;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    // A file that this process may not see cannot be its rules file.
    return false;
  }
}

/** A rules file that was read. */
export interface RulesFile extends Pick<Checked, "masters" | "rules"> {
  /** The path for messages: relative to the current folder for a file in it. */
  readonly file: string;
  /** All problems, in the order of the file. */
  readonly problems: readonly RulesProblem[];
  /** The line of a rule, from 1. */
  lineOf(this: void, rule: number): number;
}

/** Reads and checks a rules file. @throws {LockRulesError} when it is no text file, or larger than 1 MiB. */
export async function readRulesFile(path: string, environment: Environment): Promise<RulesFile> {
  const fromFolder = relative(process.cwd(), path);
  const file = fromFolder.startsWith("..") ? path : fromFolder;
  return await readRules(await readBytes(path, file), file, environment);
}

/** Reads and checks the content of a rules file. @throws {LockRulesError} when it is no text, or larger than 1 MiB. */
export async function readRules(
  bytes: Uint8Array,
  file: string,
  environment: Environment,
): Promise<RulesFile> {
  // The parser does not end a line at a carriage return alone.
  const text = textOf(bytes, file).replace(/\r(?!\n)/g, "\n");
  // Imported here, so that rules in code do not load the parser.
  const { readDocument } = await import("./document.ts");
  const document = readDocument(text, /\.json$/i.test(file));
  const { value, unreadable, stretches } = document;
  const checked = check(value === undefined ? {} : value, environment, unreadable);
  // Without a value, what is missing follows from the broken syntax.
  const problems = value === undefined ? [] : checked.problems;
  return {
    ...checked,
    file,
    problems: [...document.problems, ...problems]
      .map((problem) => ({ problem, at: document.offsetOf(problem) }))
      .sort((a, b) => a.at - b.at)
      .map(({ problem, at }) => ({
        path: showPath(problem.path),
        found: problem.found,
        expected: problem.expected,
        file,
        ...document.positionOf(at),
        source: showLine(text, at, stretches),
      })),
    lineOf: (rule) =>
      document.positionOf(document.offsetOf(wrongValue(["rules", rule], "", ""))).line,
  };
}

/** Many times the size of any real rules file. */
const LARGEST = 1_048_576;
const EXPECTED = "a text file with nodes and rules, in YAML or JSON";

function refuse(file: string, found: string): never {
  throw new LockRulesError([{ ...NOWHERE, path: "", found, expected: EXPECTED, file }]);
}

function textOf(bytes: Uint8Array, file: string): string {
  if (bytes.length > LARGEST) refuse(file, "more than 1 MiB (1048576 bytes)");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return refuse(file, "text that is not UTF-8");
  }
  if (text.includes("\0")) refuse(file, "a binary file");
  if (text.trim() === "") refuse(file, "an empty file");
  return text;
}

async function readBytes(path: string, file: string): Promise<Uint8Array> {
  try {
    const stats = await stat(path);
    // Reading a pipe may never end.
    if (!stats.isFile()) refuse(file, stats.isDirectory() ? "a directory" : "no regular file");
    return stats.size > LARGEST ? new Uint8Array(LARGEST + 1) : await readFile(path);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") refuse(file, "no such file");
    if (code === "EACCES" || code === "EPERM") refuse(file, "a file that may not be read");
    throw error;
  }
}
