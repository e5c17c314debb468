import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LockRulesError, loadLocks, type RulesProblem } from "../../src/config/index.ts";
import { makeFolder } from "../testing/folders.ts";

/** Writes a rules file, and returns its path. */
export async function writeRules(
  content: string | Uint8Array,
  name = "bullmq-redlock.yaml",
): Promise<string> {
  const path = join(await makeFolder(), name);
  await writeFile(path, content);
  return path;
}

/** The error of a rules file; `undefined` when it has no problems. */
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

/** The problems of a rules file. */
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
