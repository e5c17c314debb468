import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { LockRulesError, loadLocks, type RulesProblem } from "../../src/config/index.ts";

/** Of all tests in a file: which of those that run at the same time is the current one, nobody knows after an await. */
const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

/** A folder for tests, until those of the file are over. */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "test-of-bullmq-redlock-"));
  folders.push(folder);
  return folder;
}

/** Writes a rules file for tests, and gives its path. */
export async function writeRules(
  content: string | Uint8Array,
  name = "bullmq-redlock.yaml",
): Promise<string> {
  const path = join(await makeFolder(), name);
  await writeFile(path, content);
  return path;
}

/** What is wrong with a rules file; `undefined` when nothing is. */
export async function errorOf(
  content: string | Uint8Array,
  environment: Record<string, string> = {},
  name?: string,
): Promise<LockRulesError | undefined> {
  try {
    const locks = await loadLocks(await writeRules(content, name), { environment });
    await locks.close();
    return undefined;
  } catch (error) {
    if (error instanceof LockRulesError) return error;
    throw error;
  }
}

/** The problems in a rules file. */
export async function problemsOf(
  content: string | Uint8Array,
  environment: Record<string, string> = {},
  name?: string,
): Promise<readonly RulesProblem[]> {
  return (await errorOf(content, environment, name))?.problems ?? [];
}

/** A problem in one line: `7:8 rules[0].ttl: found ..., expected ...`. */
export function line({ line, column, path, found, expected }: RulesProblem): string {
  return `${line}:${column} ${path}: found ${found}, expected ${expected}`;
}
