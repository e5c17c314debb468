import { existsSync } from "node:fs";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { InputFile, UsageError } from "../../demo/input-file.ts";
import { readOptions } from "../../demo/options.ts";
import { expectNothingLeft, findProcesses, foldersOfServers } from "./processes.ts";
import { AS_STARTED, killDemos, rowOf, runDemo, startDemo } from "./run-demo.ts";

const WEBHOOKS =
  process.env.BULLMQ_REDLOCK_WEBHOOKS ??
  join(import.meta.dirname, "../../../shared/data/github-webhooks.jsonl");

/** Several demos run at once here, with six processes each. */
const PATIENCE = 120_000;

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "test-of-bullmq-redlock-"));
});

afterAll(async () => {
  killDemos();
  await rm(folder, { recursive: true, force: true });
});

describe.concurrent("the demo", { timeout: PATIENCE }, () => {
  test("shows lost updates without the lock and none with it, while a lock master dies", async () => {
    const { code, output } = await runDemo();
    expect(code, output).toBe(0);
    expect(rowOf(output, "jobs completed")).toEqual(["400 of 400", "400 of 400"]);
    const [peak, lockedPeak] = rowOf(output, "jobs at once, all accounts").map(Number);
    const [peakOfOne, lockedPeakOfOne] = rowOf(output, "jobs at once, one account").map(Number);
    const [overlaps, lockedOverlaps] = rowOf(output, "overlaps in one account").map(Number);
    const [lost, lockedLost] = rowOf(output, "lost updates").map(Number);
    expect([lockedPeakOfOne, lockedOverlaps, lockedLost]).toEqual([1, 0, 0]);
    expect(lockedPeak).toBeGreaterThan(1);
    for (const figure of [peak, peakOfOne]) expect(figure).toBeGreaterThan(1);
    for (const figure of [overlaps, lost]) expect(figure).toBeGreaterThan(0);
    expect(output).toMatch(/[1-9]\d* jobs met a held account and were parked/);
    expect(output).toMatch(/attempts used: at most 1 of 3/);
    const [, before, after] = /was killed after (\d+) jobs and (\d+) more/.exec(output) ?? [];
    expect(Number(before) + Number(after)).toBe(400);
    expect(Number(after)).toBeGreaterThan(0);
    expect(output).toContain("2 worker processes noticed");
    expectPlain(output);
  });

  test("runs the lines of a file, and reports the refused and the broken ones by number", async () => {
    const good = ["1", "1", "1", '"2"'].map((order) => `{"order":${order}}`);
    const path = await write("mixed.jsonl", [
      ...good,
      "",
      '{"other":1}',
      "{",
      "null",
      '{"order":""}',
    ]);
    const { code, output } = await runDemo(["--input", path, "--key", "order:{{data.order}}"]);
    expect(code, output).toBe(1);
    expect(rowOf(output, "jobs completed")).toEqual(["4 of 7"]);
    expect(rowOf(output, "jobs at once, one key")).toEqual(["1"]);
    expect(output).toContain("2 keys; the busiest has 3 jobs: order:1\n");
    expect(output).toContain("3 jobs refused");
    for (const line of ["line 6\n", "line 8\n", "line 9\n"])
      expect(output).toContain(`      ${line}`);
    expect(output).toContain("1 line left out, not JSON:\n    line 7: ");
    expect(output).toContain("4 done, 3 refused, 1 line not JSON");
    expectPlain(output);
  });

  test("ends with 0 when jobs were refused and nothing else was wrong", async () => {
    const path = await write("refused.jsonl", ['{"a":1}', "{}"]);
    const { code, output } = await runDemo(["--input", path, "--key", "a:{{data.a}}"]);
    expect(code, output).toBe(0);
    expect(output).toContain("1 done, 1 refused; one job at a time per key: yes");
  });

  test("refuses a file in which no line is JSON", async () => {
    const bad = await write(
      "bad.jsonl",
      Array.from({ length: 12 }, () => "no"),
    );
    const refused = await runDemo(["--input", bad, "--key", "a:{{data.a}}"]);
    expect(refused.code, refused.output).toBe(1);
    expect(refused.output).toContain("12 lines left out, not JSON:");
    expect(refused.output).toContain("    and 2 more\n");
  });

  test("reads its rules again in a worker process that receives SIGHUP", async () => {
    const lines = Array.from({ length: 200 }, (_, i) => JSON.stringify({ order: i % 5 }));
    const path = await write("reload.jsonl", lines);
    const nodes = "nodes: [redis://a, redis://b, redis://c]";
    const rule = '  - { queue: orders, key: "order:{{data.order}}" }';
    const rules = await write("reload.yaml", [nodes, "rules:", rule]);
    const demo = await startDemo(["--input", path, "--config", rules, "--queue", "orders"]);
    const [, first, second] = await demo.prints(/worker\s+processes\s+(\d+),\s+(\d+)/);
    await write("reload.yaml", [nodes, "rules:", rule, "  - { key: null }"]);
    process.kill(Number(first), "SIGHUP");
    await demo.prints(new RegExp(`worker process ${first}: 2 rules in force, 1 new`));
    await write("reload.yaml", [nodes, "rules:", "  - { kye: null }"]);
    process.kill(Number(second), "SIGHUP");
    await demo.prints(new RegExp(`worker process ${second}: 2 problems\\s+\\S+reload\\.yaml`));
    const { code, output } = await demo.ended;
    expect(code, output).toBe(0);
    expect(output).toContain("one job at a time per key: yes");
  });

  test("runs the lines of a file by rules, on masters of its own", async () => {
    const rules = await write("rules.yaml", [
      'nodes: ["${NOT_SET}"]',
      "rules:",
      '- {queue: orders, job: ship, key: "order:{{data.order}}"}',
      "- {queue: orders, key: null}",
      '- {queue: bills, key: "order:{{data.order}}", onConflict: skip}',
    ]);
    const path = await write(
      "ruled.jsonl",
      ["1", "1", "1", "2"].map((order) => `{"order":${order}}`),
    );
    const args = ["--input", path, "--config", rules, "--queue", "orders"];
    const many = await write("many.jsonl", Array<string>(30).fill('{"order":1}'));
    const [shipped, other, unruled, bills] = await Promise.all([
      runDemo([...args, "--job", "ship"]),
      runDemo(args),
      runDemo(args.slice(0, 4)),
      runDemo(["--input", many, "--config", rules, "--queue", "bills"]),
    ]);
    expect(shipped.code, shipped.output).toBe(0);
    expect(rowOf(shipped.output, "jobs completed")).toEqual(["4 of 4"]);
    expect(rowOf(shipped.output, "jobs at once, one key")).toEqual(["1"]);
    expect(shipped.output).toContain("2 keys; the busiest has 3 jobs: order:1\n");
    // No key, no lock: the bank has seen none of them.
    expect(other.code, other.output).toBe(0);
    expect(rowOf(other.output, "jobs completed")).toEqual(["4 of 4"]);
    expect(other.output).not.toContain("the busiest has");
    expect(other.output).toContain("  - 4 jobs ran without a lock, as the rule says\n");
    expect(other.output).toContain("4 done (4 without a lock); one job at a time per key: no key");
    // What was skipped was not done.
    expect(bills.code, bills.output).toBe(0);
    const [, done, skipped] =
      /\n(\d+) done, (\d+) skipped; one job at a time per key: yes/
        .exec(bills.output)
        ?.map(Number) ?? [];
    expect(done! + skipped!).toBe(30);
    expect(bills.output).toContain(
      `  - ${skipped} jobs skipped, as the rule says: another job held`,
    );
    expect(bills.output).not.toContain("no job met");
    expect(unruled.output).toContain("4 jobs refused");
    expect(unruled.output.replaceAll(/\s+/g, " ")).toContain('no rule matches the queue "locked"');
    for (const { output } of [shipped, other, unruled, bills]) expectPlain(output);
  });

  test.skipIf(!existsSync(WEBHOOKS))("processes the webhook deliveries of GitHub", async () => {
    const key = "repo:{{data.payload.repository.full_name}}";
    const { code, output } = await runDemo(["--input", WEBHOOKS, "--key", key]);
    expect(code, output).toBe(0);
    expect(rowOf(output, "jobs completed")).toEqual(["235 of 273"]);
    expect(rowOf(output, "jobs at once, one key")).toEqual(["1"]);
    expect(rowOf(output, "lost updates")).toEqual(["0"]);
    expect(output).toContain("38 jobs refused");
    expect(output).toContain("data.payload.repository: found nothing");
    expect(output).toContain("235 done, 38 refused; one job at a time per key: yes");
  });
});

describe.concurrent(
  "a mistake in the command gets one sentence and exit code 2",
  { timeout: PATIENCE },
  () => {
    const cases: [what: string, args: string[], sentence: RegExp][] = [
      ["an unknown flag", ["--inptu", "x"], /unknown option '--inptu'/i],
      ["an argument too many", ["x"], /unexpected argument 'x'/i],
      ["a flag without its value", ["--input"], /'--input <value>' argument missing/],
      [
        "--input without --key",
        ["--input", "x"],
        /--input needs a --key or a --config.* as in --input orders.jsonl/,
      ],
      ["--key without --input", ["--key", "x"], /--key is for a file of your own; add --input/],
      [
        "--config without --input",
        ["--config", "x"],
        /--config is for a file of your own; add --input, as in --input orders.jsonl --config/,
      ],
      [
        "--queue without --config",
        ["--queue", "x"],
        /--queue and --job are for rules; add --config/,
      ],
      [
        "--key and --config",
        ["--key", "x", "--config", "y"],
        /both say what to lock; leave one out/,
      ],
      [
        "a missing rules file",
        ["--input", "x", "--config", "/missing.yaml"],
        /--config: \/missing.yaml {2}found no such file, expected a text file with nodes and rules/,
      ],
      ["an empty path", ["--input", "", "--key", "x"], /--input needs the path of a file/],
      [
        "a missing file",
        ["--input", "/missing", "--key", "x"],
        /cannot read \/missing: there is no such file/,
      ],
      ["a folder", ["--input", "/tmp", "--key", "x"], /cannot read \/tmp: it is a directory/],
      [
        "an empty file",
        ["--input", "/dev/null", "--key", "x"],
        /\/dev\/null has no line with data/,
      ],
    ];
    for (const [what, args, sentence] of cases)
      test(what, async () => {
        const refusal = await refusalOf(args);
        expect(refusal).toMatch(sentence);
        expect(refusal).not.toContain("\n");
      });

    test("a wrong template, shown with a caret", async () => {
      expect(await refusalOf(["--input", "x", "--key", "order:{{dat.id}}"])).toMatch(
        /^--key: found "dat" at column 9, expected [^\n]+\n {2}order:\{\{dat.id\}\}\n {10}\^$/,
      );
    });

    test("that follows the word error, in the command line and in the file", async () => {
      const path = await write("blank.jsonl", ["", "  ", ""]);
      const [unknown, blank] = await Promise.all([
        runDemo(["--inptu", "x"]),
        runDemo(["--input", path, "--key", "x"]),
      ]);
      expect(unknown.output).toMatch(/^error: Unknown option '--inptu'[^\n]*\n$/);
      expect(unknown.code).toBe(2);
      expect(blank).toEqual({ code: 2, output: `error: ${path} has no line with data\n` });
    });

    test.skipIf(process.getuid?.() === 0)("a file that may not be read", async () => {
      const path = await write("secret.jsonl", ["{}"]);
      await chmod(path, 0);
      const args = ["--input", path, "--key", "x"];
      expect(await refusalOf(args)).toBe(`cannot read ${path}: no permission`);
    });

    test("and --help explains the options with exit code 0", async () => {
      const { code, output } = await runDemo(["--help"]);
      expect(code).toBe(0);
      for (const word of ["npm start", "--input FILE", "--key TEMPLATE", "Exit code"])
        expect(output).toContain(word);
      expectPlain(output);
    });
  },
);

describe.concurrent("nothing is left of a demo", { timeout: PATIENCE }, () => {
  const ends = [
    ["SIGINT", 130, "with the lock"],
    ["SIGKILL", "SIGKILL", "without the lock"],
  ] as const;
  for (const [signal, expected, round] of ends)
    test(`that ends by ${signal}`, async () => {
      const tmp = await mkdtemp(join(folder, "tmp-"));
      const demo = await startDemo([], { env: { TMPDIR: tmp } });
      const processes = await findProcesses(demo);
      await demo.prints(new RegExp(`${round} {2}`));
      expect(await foldersOfServers(tmp)).toHaveLength(1);

      demo.child.kill(signal);

      const { code, output } = await demo.ended;
      expect(code).toBe(expected);
      expect(output).not.toMatch(/error|Error/);
      await expectNothingLeft(processes, tmp);
    });

  test("that runs as npm start runs it, and ends by itself", async () => {
    const tmp = await mkdtemp(join(folder, "tmp-"));
    const path = await write("one.jsonl", ["{}"]);
    const how = { program: AS_STARTED, env: { TMPDIR: tmp } };
    const demo = await startDemo(["--input", path, "--key", "one"], how);
    const processes = await findProcesses(demo);
    expect((await demo.ended).code).toBe(0);
    await expectNothingLeft(processes, tmp);
  });

  test("one of whose worker processes dies; it says so", async () => {
    const tmp = await mkdtemp(join(folder, "tmp-"));
    const demo = await startDemo([], { env: { TMPDIR: tmp } });
    const processes = await findProcesses(demo);
    await demo.prints(/without the lock {2}/);
    process.kill(processes.pids[0]!, "SIGKILL");
    const { code, output } = await demo.ended;
    expect(output).toContain(`error: worker process ${processes.pids[0]} ended (SIGKILL)`);
    expect(code).toBe(1);
    await expectNothingLeft(processes, tmp);
  });
});

/** What the demo says of its arguments before it ends with 2. @throws when they are in order. */
async function refusalOf(args: string[]): Promise<string> {
  try {
    const options = await readOptions(args);
    if (options.kind === "file") await InputFile.open(options.path);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error(`no mistake in ${args.join(" ")}`);
}

/** No colours where nobody asked for them, and nothing that a terminal of 80 columns would break. */
function expectPlain(output: string): void {
  expect(output).not.toContain("\u001B");
  expect(output.split("\n").filter((line) => line.length > 80)).toEqual([]);
}

async function write(name: string, lines: readonly string[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, lines.join("\n"));
  return path;
}
