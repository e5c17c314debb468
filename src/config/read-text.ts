import { readFile, stat } from "node:fs/promises";
import { LockRulesError } from "./rules-error.ts";

/** Far more than any rules: thousands of them fit. */
const LARGEST = 1_048_576;

/** Reads a file as text. @throws {LockRulesError} when it is none, or too large. */
export async function readText(file: string): Promise<string> {
  const refuse = (found: string): LockRulesError =>
    new LockRulesError([
      {
        path: "",
        found,
        expected: "a text file with nodes and rules, in YAML or JSON",
        file,
        line: undefined,
        column: undefined,
        source: undefined,
      },
    ]);
  const bytes = await readBytes(file, refuse);
  if (bytes.length > LARGEST) throw refuse(`a file of more than ${LARGEST} bytes`);
  if (bytes[0] === 0xff || bytes[0] === 0xfe) throw refuse("text that is not UTF-8");
  if (bytes.includes(0)) throw refuse("a binary file");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refuse("text that is not UTF-8");
  }
  if (text.trim() === "") throw refuse("an empty file");
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
