import { readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { LockConfigError } from "../errors.ts";
import { LockRulesError, NOWHERE } from "./rules-error.ts";

/** What rules files are called. */
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
      throw new LockConfigError({
        path: "file",
        found: `${found.join(" and ")} in ${at}`,
        expected: "one of them",
      });
    }
    if (found[0] !== undefined) return join(at, found[0]);
    if (at === dirname(at)) return undefined;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    // What cannot be looked at is not there for us.
    return false;
  }
}

/** Far more than any rules: thousands of them fit. */
const LARGEST = 1_048_576;
const EXPECTED = "a text file with nodes and rules, in YAML or JSON";

/** Reads a file as text. @throws {LockRulesError} when it is none, or too large. */
export async function readText(file: string): Promise<string> {
  const refuse = (found: string, before?: string): LockRulesError => {
    const lines = before?.split(/\r\n|[\r\n]/);
    const place = lines && { line: lines.length, column: (lines.at(-1) ?? "").length + 1 };
    return new LockRulesError([
      { ...NOWHERE, ...place, path: "", found, expected: EXPECTED, file },
    ]);
  };
  const bytes = await readBytes(file, refuse);
  const lossy = new TextDecoder().decode(bytes);
  if (bytes.length > LARGEST) throw refuse("more than 1 MiB (1048576 bytes)", "");
  if (bytes[0] === 0xff || bytes[0] === 0xfe) throw refuse("text that is not UTF-8", "");
  if (bytes.includes(0)) throw refuse("a binary file", lossy.slice(0, lossy.indexOf("\0")));
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refuse("text that is not UTF-8", lossy.slice(0, lossy.indexOf("\uFFFD")));
  }
  if (text.trim() === "") throw refuse("an empty file", "");
  return text;
}

async function readBytes(file: string, refuse: (found: string) => Error): Promise<Uint8Array> {
  try {
    const stats = await stat(file);
    // Others, such as pipes, may never end.
    if (!stats.isFile()) throw refuse(stats.isDirectory() ? "a directory" : "no regular file");
    return stats.size > LARGEST ? new Uint8Array(LARGEST + 1) : await readFile(file);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") throw refuse("no such file");
    if (code === "EACCES" || code === "EPERM") throw refuse("a file that may not be read");
    throw error;
  }
}
