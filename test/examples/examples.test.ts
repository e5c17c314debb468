import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const root = new URL("../../", import.meta.url);

/** What each example must say; the rest it may say. */
const expected: Record<string, RegExp[]> = {
  "01-quick-start.ts": [/balances: \{ '0': 500, '1': 500, '2': 500, '3': 500 \}/],
  "02-outside-bullmq.ts": [
    /made \{ account: 42, fence: \d+ \}/,
    /ERR_REDLOCK_CONFLICT "account:42" is held by nightly report/,
    /released: released/,
    /tokens grow: true/,
    /moved money/,
    /locked: false/,
  ],
  "03-lock-lost.ts": [
    /run 1 of job 1/,
    /ERR_REDLOCK_LOST: the lock on "report:2026-11" was lost after \d+ ms: it could not be extended/,
    /run 2 of job 1/,
    /completed after 2 runs, failed attempts: 0/,
  ],
  "04-config-file.ts": [
    /invoices charge -> lock \[ 'account:7' \]/,
    /invoices mail -> no-lock \[\]/,
    /invoices charge -> refused \[\] job invoices:no id: data\.accountId: found nothing/,
    /mail ran under \[\]/,
    /reloaded: \d+ rules, 0 new/,
    /balances: \{ '0': 500, '1': 500 \}/,
  ],
  "testing/real-servers.ts": [/^still done$/m],
  "nestjs/main.ts": [/balances: \{ '0': 500, '1': 500, '2': 500, '3': 500 \}/],
};

describe("the example", () => {
  beforeAll(async () => {
    await run(process.execPath, ["scripts/build.mjs"], { cwd: root });
  });

  it.each(
    readdirSync(new URL("examples", root), { encoding: "utf8", recursive: true }).filter(
      (name) => name.endsWith(".ts") && !name.endsWith(".test.ts"),
    ),
  )(
    "%s runs and says what it promises",
    async (name) => {
      const { stdout, stderr } = await run(
        process.execPath,
        ["--import", "tsx", `examples/${name}`],
        { cwd: root, timeout: 60_000 },
      );
      expect(expected[name], "an example without an expectation").toBeDefined();
      for (const line of expected[name] ?? []) expect(stdout).toMatch(line);
      expect(stderr).toBe("");
    },
    60_000,
  );
});

describe("the README", () => {
  it("shows the worker of the first example", () => {
    const readme = readFileSync(new URL("README.md", root), "utf8");
    expect(readme).toContain('key: "account:{{data.accountId}}"');
  });
});
