import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const PAGE = join(ROOT, "docs", "api.md");

/** What a user gives, in words of code; and the name of an option. */
const CHOICES = new Set([
  "keepLatest",
  "cancelInProgress",
  "RedisCloudFixed",
  "RedisCloudFlexible",
  "restartGuard",
]);

it("has no public name or signature that docs/api.md does not show: npm run api", async () => {
  const folder = await mkdtemp(join(tmpdir(), "api-"));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  const page = join(folder, "api.md");
  const args = ["--import", "tsx", "scripts/api.ts", page];
  await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  expect(await readFile(PAGE, "utf8")).toBe(await readFile(page, "utf8"));
});

describe.each<[entry: string, load: () => Promise<object>]>([
  ["bullmq-redlock", () => import("../src/index.ts")],
  ["bullmq-redlock/worker", () => import("../src/worker.ts")],
  ["bullmq-redlock/config", () => import("../src/config/index.ts")],
  ["bullmq-redlock/nestjs", () => import("../src/nestjs/index.ts")],
  ["bullmq-redlock/handle", () => import("../src/handle/index.ts")],
  ["bullmq-redlock/dashboard", () => import("../src/dashboard/index.ts")],
  ["bullmq-redlock/bull-board", () => import("../src/bull-board/index.ts")],
  ["bullmq-redlock/testing", () => import("../src/testing/index.ts")],
])("the section of %s", (entry, load) => {
  /** The section, and the names that it declares, each with the words before. */
  async function read() {
    const page = await readFile(PAGE, "utf8");
    const [, section = ""] = page.split(`## \`${entry}\`\n`, 2);
    const [text = ""] = section.split(/^## /m, 1);
    const declared = text.matchAll(/^export ((?:declare |abstract )*\w+) (\w+)/gm);
    return Array.from(declared, ([, kind = "", name = ""]) => ({ kind, name }));
  }

  it("shows what can be imported at run time as a value, and nothing else so", async () => {
    const values = (await read()).filter(({ kind }) => kind.startsWith("declare "));
    expect(values.map(({ name }) => name).sort()).toEqual(Object.keys(await load()).sort());
  });

  it("shows each name once, in order", async () => {
    const names = (await read()).map(({ name }) => name);
    expect(names).toEqual([...new Set(names)].sort());
  });
});

it("has a section for each entry of the package", async () => {
  const { exports } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
    exports: Record<string, unknown>;
  };
  const entries = Object.keys(exports).filter((path) => !path.endsWith(".json"));
  const page = await readFile(PAGE, "utf8");
  const sections = Array.from(page.matchAll(/^## `(.*)`$/gm), ([, entry = ""]) => entry);
  expect(sections).toEqual(entries.map((path) => path.replace(".", "bullmq-redlock")));
});

it("writes codes, reasons and votes in kebab-case, error codes as ERR_REDLOCK_...", async () => {
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
