import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGE = join(ROOT, "docs", "api.md");

/** What a user gives, in words of code. */
const CHOICES = new Set([
  "keepLatest",
  "cancelInProgress",
  "RedisCloudFixed",
  "RedisCloudFlexible",
]);

it("has no public name or signature that docs/api.md does not show: npm run api", async () => {
  const folder = await mkdtemp(join(tmpdir(), "api-"));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  const page = join(folder, "api.md");
  const args = ["--import", "tsx", "scripts/api.ts", page];
  await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  expect(await readFile(PAGE, "utf8")).toBe(await readFile(page, "utf8"));
});

it("writes codes, reasons and votes as kebab-case words, and codes of errors as ERR_REDLOCK_...", async () => {
  const page = await readFile(PAGE, "utf8");
  const union = /(?:[=|:[,] |\| )"([^"]+)"/g;
  const words = new Set(Array.from(page.matchAll(union), ([, word = ""]) => word));
  expect(words).toContain("timed-out");
  const odd = [...words].filter((word) => {
    const isError = word.endsWith("Error") || /^ERR_REDLOCK(?:_[A-Z]+)+$/.test(word);
    return !isError && !CHOICES.has(word) && !/^[a-z]+(?:[-:][a-z]+)*$/.test(word);
  });
  expect(odd).toEqual([]);
});
