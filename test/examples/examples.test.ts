import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { promisify } from "node:util";
import { transform } from "esbuild";
import { beforeAll, describe, expect, it } from "vitest";
import { startRedisNodes } from "../../src/testing/index.ts";

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
    /invoices charge -> refused \[\] job without an id in queue invoices: data\.accountId: found nothing/,
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
  )("%s runs and says what it promises", async (name) => {
    const { stdout, stderr } = await run(
      process.execPath,
      ["--import", "tsx", `examples/${name}`],
      { cwd: root, timeout: 60_000 },
    );
    expect(expected[name], "an example without an expectation").toBeDefined();
    for (const line of expected[name] ?? []) expect(stdout).toMatch(line);
    expect(stderr).toBe("");
  });
});

/** What the first example of the README leaves to the application, and jobs for it. */
const APPLICATION = `
import { Queue } from "bullmq";
interface Charge { accountId: number }
const connection = { url: process.env.QUEUE! };
const queue = new Queue<Charge>("charges", { connection });
await queue.addBulk([1, 2, 3, 4].map((i) => ({ name: "charge", data: { accountId: i % 2 } })));
const running = new Set<number>();
async function charge({ accountId }: Charge, { fence, signal }: { fence: number; signal: AbortSignal }) {
  if (running.has(accountId) || fence === 0 || signal.aborted) throw new Error("two at a time");
  running.add(accountId);
  await new Promise((resolve) => setTimeout(resolve, 20));
  running.delete(accountId);
}
async function allCompleted(worker: Worker): Promise<void> {
  let completed = 0;
  await new Promise<void>((resolve, reject) => {
    worker.on("failed", (_, error) => reject(error));
    worker.on("completed", () => (completed += 1) === 4 && resolve());
  });
  await queue.close();
  console.log("completed 4");
}
`;

describe("the README", () => {
  const readme = readFileSync(new URL("README.md", root), "utf8");
  const [, example = ""] = /```ts\n(.*?)```/s.exec(readme) ?? [];

  it("begins with an example that runs as it stands, with real masters", async () => {
    await using servers = await startRedisNodes(4);
    const [queue, ...nodes] = servers.urls;
    let masters = 0;
    const program = example
      .replaceAll(/"redis:\/\/lock-\d:6379"/g, () => JSON.stringify(nodes[masters++]))
      // They have just been started, and are known to be new.
      .replace("nodes: [", 'restartGuard: "trust-new", nodes: [')
      .replace("await worker.close();", "await allCompleted(worker);\nawait worker.close();");
    expect(masters).toBe(3);
    const { code } = await transform(APPLICATION + program, { loader: "ts" });
    const { stdout, stderr } = await run(
      process.execPath,
      ["--input-type=module", "--eval", code],
      { cwd: root, env: { ...process.env, QUEUE: queue }, timeout: 60_000 },
    );
    expect([stdout, stderr]).toEqual(["completed 4\n", ""]);
  });

  it("has no more than 120 lines, and no picture above 100 kB", () => {
    expect(readme.split("\n").length - 1).toBeLessThanOrEqual(120);
    const pictures = Array.from(
      readme.matchAll(/!\[[^\]]+\]\(([^)]+)\)/g),
      ([, path = ""]) => path,
    );
    expect(pictures).toEqual(["docs/images/inspect.svg", "docs/images/dashboard.png"]);
    for (const path of pictures)
      expect(readFileSync(new URL(path, root)).length).toBeLessThan(100_000);
  });
});
