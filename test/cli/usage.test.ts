import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { writeRules } from "../config/support.ts";
import { makeFolder } from "../testing/folders.ts";
import { cli, cliProcess, PROGRAM } from "./run-cli.ts";

const SECRET = "s3cr3t";
/** No server listens there. */
const NO_SERVER = "127.0.0.1:1";
const RULES = `nodes: [redis://:${SECRET}@${NO_SERVER}, "redis://u:\${PASSWORD}@127.0.0.1:2"]
rules:
  - queue: invoices
    key: "account:{{data.accountId}}"
    maxWait: 5m
  - queue: mails
    key: null
`;
const COMMANDS = [
  "inspect",
  "ls",
  "waiters",
  "why",
  "wake",
  "hold",
  "release",
  "cancel",
  "dashboard",
  "doctor",
  "check-config",
];
const ENV = { PASSWORD: SECRET };

function isRules(word: string): boolean {
  return word.endsWith(".yaml");
}

describe.concurrent("the command line", () => {
  it.each(COMMANDS)("%s --help describes it, with an example", async (command) => {
    for (const args of [
      [command, "--help"],
      ["-h", command],
      ["help", command],
    ]) {
      const { code, out, notes } = await cli(args);
      expect([code, notes]).toEqual([0, ""]);
      expect(out).toMatch(new RegExp(`^Usage: bullmq-redlock ${command} \\[options\\]`));
      expect(out).toMatch(new RegExp(`\n {2,4}bullmq-redlock ${command}\\b.*\n`));
      expect(out).toContain("Exit code: 0 ");
      for (const line of out.split("\n")) expect(line.length).toBeLessThan(101);
    }
  });

  it("names its commands, and its version", async () => {
    const help = await cli(["--help"]);
    expect(help).toMatchObject({ code: 0, notes: "" });
    for (const command of COMMANDS) expect(help.out).toMatch(new RegExp(`\n  ${command} +\\S`));
    expect(await cli([])).toEqual({ ...help, code: 2 });
    expect(await cli(["--version"])).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
  });

  it("is a program that prints and ends as its commands do", async () => {
    const wrong = await writeRules(RULES.replace("maxWait", "maxwait"));
    for (const [code, args] of [
      [0, ["--version"]],
      [1, ["check-config", wrong]],
      [2, ["inpect"]],
      [3, ["inspect", "a", "--node", `redis://${NO_SERVER}`, "--json"]],
    ] as const) {
      const outcome = await cliProcess(args);
      expect(outcome.code).toBe(code);
      expect(outcome).toEqual(await cli(args));
    }
  });

  it.runIf(existsSync("/dev/full"))("fails when its output cannot be written", async () => {
    const full = await open("/dev/full", "w");
    const child = spawn(process.execPath, [PROGRAM, "--help"], {
      stdio: ["ignore", full.fd, "pipe"],
    });
    const [notes, [code]] = await Promise.all([text(child.stderr!), once(child, "close")]);
    await full.close();
    expect([code, notes]).toEqual([2, expect.stringMatching(/cannot be written \(ENOSPC/)]);
  });

  it.each<[args: string[], message: string, help: string]>([
    [["inpect"], 'there is no command "inpect"; did you mean "inspect"?', "bullmq-redlock --help"],
    [["__proto__"], 'there is no command "__proto__"', "bullmq-redlock --help"],
    [["help", "lss"], 'there is no command "lss"; did you mean "ls"?', "bullmq-redlock --help"],
    [["ls", "--jsn"], "Unknown option '--jsn'; did you mean --json?", "bullmq-redlock ls --help"],
    [
      ["ls", "--timeout"],
      "Option '--timeout <value>' argument missing",
      "bullmq-redlock ls --help",
    ],
    [["ls", "--job", "x"], "ls takes no --job", "bullmq-redlock ls --help"],
    [
      ["check-config", "--node", "redis://h"],
      "check-config takes no --node",
      "bullmq-redlock check-config --help",
    ],
    [["ls", "a", "b"], "ls takes one pattern, in quotes, as in", "bullmq-redlock ls --help"],
    [
      ["ls", "", "--node", "redis://h"],
      'found an empty pattern, expected a glob such as "*"',
      "bullmq-redlock ls --help",
    ],
    [
      ["inspect"],
      "inspect takes one key, as in: bullmq-redlock inspect account:42",
      "bullmq-redlock inspect --help",
    ],
    [["inspect", "a", "b"], "inspect takes one key", "bullmq-redlock inspect --help"],
    [
      ["inspect", "@a", "--node", `redis://${NO_SERVER}`],
      'lock key: found "@a", expected a key that does not begin',
      "bullmq-redlock inspect --help",
    ],
    [
      ["inspect", "a"],
      "no masters given: expected --node redis://lock-1:6379 (repeated for each master)",
      "bullmq-redlock inspect --help",
    ],
    [["doctor", "a"], "doctor takes options only", "bullmq-redlock doctor --help"],
    [
      ["doctor", "--ignore", "persistance", "--node", "redis://h"],
      '--ignore: found "persistance", expected "persistence"?',
      "bullmq-redlock doctor --help",
    ],
    [
      ["doctor", "--timeout", "1s", "--node", "redis://h"],
      '--timeout: found "1s", expected 2000 to 60000 ms',
      "bullmq-redlock doctor --help",
    ],
    [
      ["doctor", "--node", "redis://a", "--node", `http://:${SECRET}@h`],
      '--node 2: found a URL with the scheme "http:"',
      "bullmq-redlock doctor --help",
    ],
    [
      ["ls", "--node", `:${SECRET}@`],
      "--node 1: found text that is not a URL",
      "bullmq-redlock ls --help",
    ],
    [
      ["cancel", "k", "--reason", " ", "--node", "redis://h"],
      "--reason: found an empty text, expected a reason for people",
      "bullmq-redlock cancel --help",
    ],
    [
      ["cancel", "k", "--timeout", "-5"],
      "--timeout takes a value; give one that begins with a dash as in --timeout=-5",
      "bullmq-redlock cancel --help",
    ],
    [
      ["ls", "--node", "redis://a", "--node", "redis://a:6379/3"],
      "--node 2: found a:6379, the same server as --node 1, expected",
      "bullmq-redlock ls --help",
    ],
    [
      ["check-config"],
      "no rules file given: found no bullmq-redlock.yaml in this folder or above",
      "bullmq-redlock check-config --help",
    ],
    [
      ["check-config", "a", "b"],
      "check-config takes one file",
      "bullmq-redlock check-config --help",
    ],
    [
      ["check-config", "a", "--job", "/none.json"],
      "--job /none.json: ENOENT",
      "bullmq-redlock check-config --help",
    ],
    [
      ["why", "bull:a:1", "--node", "redis://a", "--redis", `http://:${SECRET}@h`],
      '--redis: found a URL with the scheme "http:", expected a URL like "redis://host:6379/0"',
      "bullmq-redlock why --help",
    ],
    [
      ["why", "bull:a:1", "--node", "redis://a", "--redis", "127.0.0.1:22010"],
      '--redis: found a host and a port without a scheme, expected "redis://" before it',
      "bullmq-redlock why --help",
    ],
    [
      ["hold", "k", "--for", "5s"],
      '--reason: found nothing, expected a reason for people, as in: --for 10m --reason "migration"',
      "bullmq-redlock hold --help",
    ],
    [
      ["hold", "k", "--for", "5s", "--reason", ""],
      "--reason: found an empty text, expected a reason for people, as in",
      "bullmq-redlock hold --help",
    ],
    [
      ["hold", "k", "--reason", "x"],
      '--for: found nothing, expected a time, as in: --for 10m --reason "migration"',
      "bullmq-redlock hold --help",
    ],
  ])("%j is a mistake that is named", async (args, message, help) => {
    const { code, out, notes } = await cli(args);
    expect([code, out]).toEqual([2, ""]);
    expect(notes).toContain(`error: ${message}`);
    expect(notes).toMatch(new RegExp(`\nSee: ${help}\n$`));
    expect(notes).not.toContain(SECRET);
  });

  it("names the variable that has a wrong URL, not an option", async () => {
    const { code, notes } = await cli(["ls"], { BULLMQ_REDLOCK_NODES: "redis://a,b" });
    expect(code).toBe(2);
    expect(notes).toContain("error: BULLMQ_REDLOCK_NODES, URL 2: found text that is not a URL");
    const queue = { BULLMQ_REDLOCK_NODES: "redis://a", BULLMQ_REDLOCK_REDIS: "http://a" };
    expect((await cli(["why", "bull:a:1"], queue)).notes).toContain(
      'error: BULLMQ_REDLOCK_REDIS: found a URL with the scheme "http:"',
    );
  });

  it.each(["redis://a,,redis://b", "redis://a, "])(
    "refuses a URL that is missing in %j",
    async (urls) => {
      const { code, notes } = await cli(["ls"], { BULLMQ_REDLOCK_NODES: urls });
      expect(code).toBe(2);
      expect(notes).toContain(
        "error: BULLMQ_REDLOCK_NODES, URL 2: found an empty text, expected a",
      );
    },
  );

  it("takes the longest --timeout, which outlasts the usual ttl", async () => {
    const args = ["ls", "--timeout", "60s", "--node", `redis://${NO_SERVER}`];
    expect(await cli(args)).toMatchObject({ code: 3, out: "" });
  });

  it("tells programs of a mistake, too", async () => {
    const file = await writeRules(RULES.replace("nodes:", "prefx: mine\nnodes:"));
    const node = ["--node", `redis://${NO_SERVER}`];
    for (const [args, message] of [
      [["ls", "--jsn"], "Unknown option '--jsn'; did you mean --json?"],
      [["inspect"], "inspect takes one key"],
      [["inspect", "@a", ...node], 'lock key: found "@a"'],
      [["check-config", "/none.yaml"], "found no such file"],
      [["doctor", "--config", file], 'prefx: found an unknown option, expected "prefix"?'],
    ] as const) {
      const { code, out, notes } = await cli([...args, "--json"], ENV);
      const { error } = JSON.parse(out) as { error: Record<string, unknown> };
      expect(error).toMatchObject({ exitCode: 2, quorum: null, masters: null });
      expect(error["message"]).toContain(message);
      expect(error["problems"] === null).toBe(!(args as readonly string[]).some(isRules));
      expect([code, notes]).toEqual([2, expect.stringContaining("error:")]);
    }
  });

  it("never shows a password", async () => {
    const file = await writeRules(RULES);
    const wrong = await writeRules(RULES.replace("1,", "x,").replace("rules:", "ttl: x\nrules:"));
    const commands = [
      ["inspect", "a", "--config", file],
      ["ls", "--config", file],
      ["ls", "--config", wrong],
      ["doctor", "--timeout", "2s", "--config", file],
      ["doctor", "--timeout", "2s", "--config", file, "--json"],
      ["check-config", file, "--json"],
      ["check-config", wrong],
      ["check-config", wrong, "--json"],
      ["ls", "--node", `redis://:${SECRET}@${NO_SERVER}`],
      [
        "doctor",
        "--timeout",
        "2s",
        "--node",
        `redis://u:${SECRET}@${NO_SERVER}`,
        "--queue",
        `redis://:${SECRET}@${NO_SERVER}`,
      ],
    ];
    for (const args of commands) {
      const { code, out, notes } = await cli(args, ENV);
      expect(out + notes, args.join(" ")).not.toContain(SECRET);
      expect(out + notes).not.toBe("");
      expect(code).toBe(
        args.includes(wrong)
          ? args[0] === "check-config"
            ? 1
            : 2
          : args[0] === "check-config"
            ? 0
            : 3,
      );
    }
  });

  it("has colours on a terminal only, and none under NO_COLOR", async () => {
    const args = ["doctor", "--timeout", "2s", "--node", `redis://${NO_SERVER}`];
    expect((await cli(args)).out).not.toContain("\u001B");
    expect((await cliProcess(args, { env: { FORCE_COLOR: "1" } })).out).toContain("\u001B[31m");
    if (!existsSync("/usr/bin/script")) return;
    expect((await cliProcess(args, { onTerminal: true })).out).toContain("\u001B[31m");
    expect(
      (await cliProcess(args, { onTerminal: true, env: { NO_COLOR: "1" } })).out,
    ).not.toContain("\u001B");
  });

  it("reads the file of the folder it is in, or of one above", async () => {
    const top = await makeFolder();
    const below = join(top, "packages", "worker");
    await mkdir(below, { recursive: true });
    await writeFile(join(top, "bullmq-redlock.yml"), RULES);
    expect(await cliProcess(["ls"], { cwd: below, env: ENV })).toMatchObject({
      code: 3,
      notes: expect.stringContaining(`${NO_SERVER}  unreachable (ECONNREFUSED)`),
    });
    const { code, out } = await cliProcess(["check-config"], { cwd: below, env: ENV });
    expect(code).toBe(0);
    const file = join(top, "bullmq-redlock.yml");
    expect(out.startsWith(`${file}: 2 rules, 2 masters, no problems\n`)).toBe(true);
  });

  it("does not go to masters that a file does not name rightly", async () => {
    const file = await writeRules(RULES.replace("nodes:", "prefx: mine\nnodes:"));
    const { code, out, notes } = await cli(["inspect", "a", "--config", file], ENV);
    expect([code, out]).toEqual([2, ""]);
    expect(notes).toContain('prefx: found an unknown option, expected "prefix"?');
  });
});

describe.concurrent("check-config", () => {
  it("shows the rules with their lines", async () => {
    const file = await writeRules(RULES);
    const { code, out, notes } = await cli(["check-config", file], ENV);
    expect([code, notes]).toEqual([0, ""]);
    expect(out).toBe(`${file}: 2 rules, 2 masters, no problems

  RULE      LINE  QUEUE     JOB  KEY
  rules[0]  3     invoices  *    account:{{data.accountId}}
  rules[1]  6     mails     *    none: no lock
`);
  });

  it("shows for which data rules are, and which have one key for all jobs", async () => {
    const file = await writeRules(`nodes: [redis://a, redis://b, redis://c]
rules:
  - queue: [builds, "deploy-*"]
    when: { data.ref: [refs/heads/main, null] }
    unless: { data.dryRun: true }
    key: ["deploy:{{data.env}}", deploy]
  - { job: nightly, key: report }
  - { key: null }
`);
    const { code, out } = await cli(["check-config", file]);
    expect(code).toBe(0);
    expect(out).toBe(`${file}: 3 rules, 3 masters, no problems

  RULE      LINE  QUEUE             JOB      ONLY                                                    KEY
  rules[0]  3     builds, deploy-*  *        data.ref: refs/heads/main, null; not data.dryRun: true  deploy:{{data.env}}, deploy
  rules[1]  7     *                 nightly                                                          report
  rules[2]  8     *                 *                                                                none: no lock

rules[0] has one key for all jobs of the queue builds, deploy-*: deploy
rules[1] has one key for all jobs of every queue with the name nightly: report
`);
    const { rules } = JSON.parse((await cli(["check-config", file, "--json"])).out) as {
      rules: unknown[];
    };
    expect(rules).toMatchObject([
      {
        queue: ["builds", "deploy-*"],
        job: "*",
        when: { "data.ref": ["refs/heads/main", null] },
        unless: { "data.dryRun": true },
        key: ["deploy:{{data.env}}", "deploy"],
        isOneForAll: true,
      },
      { queue: "*", job: "nightly", key: "report", isOneForAll: true },
      { key: null, isOneForAll: false },
    ]);
  });

  it("tells all mistakes, also those of the environment", async () => {
    const file = await writeRules(RULES.replace("maxWait", "maxwait"));
    const { code, out, notes } = await cli(["check-config", file]);
    expect([code, notes]).toEqual([1, ""]);
    expect(out)
      .toBe(`${file}:1:49  nodes[1]: found \${PASSWORD}, which is not set, expected an environment variable with a value
    nodes: [***, ***]
                 ^

${file}:5:5  rules[0].maxwait: found an unknown option, expected "maxWait"?
        maxwait: ***
        ^

${file}: 2 problems
`);
    const told = JSON.parse((await cli(["check-config", file, "--json"])).out) as {
      problems: unknown[];
    };
    expect(told.problems).toMatchObject([
      { line: 1, column: 49, path: "nodes[1]" },
      { line: 5, column: 5 },
    ]);
  });

  it("says which keys a job takes, by which rule, with which options", async () => {
    const file = await writeRules(RULES);
    const input = JSON.stringify({
      queueName: "invoices",
      name: "charge",
      data: { accountId: 42 },
    });
    const args = ["check-config", file, "--job", "-"];
    const { code, out } = await cliProcess(args, { env: ENV, input });
    expect(code).toBe(0);
    expect(out).toContain(`\nThe job locks by rules[0] (${file}:3):\n  account:42\n\nwith\n`);
    expect(out).toMatch(/\n  ttl +15 s\n/);
    expect(out).toMatch(/\n  limit +1\n/);
    expect(out).toMatch(/\n  maxWait +5 min\n/);
    const json = await cliProcess([...args, "--json"], { env: ENV, input });
    expect(JSON.parse(json.out)).toMatchObject({
      problems: [],
      rules: [{ line: 3, key: "account:{{data.accountId}}", maxWait: 300_000 }, { key: null }],
      job: { outcome: "lock", rule: 0, keys: ["account:42"], options: { ttl: 15_000 } },
    });
  });

  it("reads the rules from standard input, and names it in problems", async () => {
    const args = ["check-config", "-"];
    const good = await cliProcess(args, { env: ENV, input: RULES });
    expect([good.code, good.out.split("\n")[0]]).toEqual([
      0,
      "<stdin>: 2 rules, 2 masters, no problems",
    ]);
    const bad = await cliProcess(args, {
      env: ENV,
      input: RULES.replace("rules:", "ttl: x\nrules:"),
    });
    expect([bad.code, bad.out]).toEqual([
      1,
      expect.stringMatching(/^<stdin>:\d+:\d+  ttl: found "x"/),
    ]);
    const both = await cliProcess([...args, "--job", "-"], { env: ENV, input: RULES });
    expect([both.code, both.notes]).toEqual([2, expect.stringContaining("--job -: found - twice")]);
  });

  it("says in one line that there is no such file", async () => {
    for (const args of [
      ["check-config", "none.yaml"],
      ["doctor", "--config", "none.yaml"],
    ]) {
      const { code, notes } = await cli(args);
      expect([code, notes]).toEqual([2, "error: none.yaml: no such file\n"]);
    }
  });

  it.each<[job: object, code: number, says: string]>([
    [{ queueName: "mails", name: "send" }, 0, "The job runs without a lock by rules[1] ("],
    [{ queueName: "invoices", name: "charge", data: {} }, 1, "data.accountId: found nothing"],
    [
      { queueName: "other", name: "x" },
      1,
      'no rule matches the queue "other" and the job name "x"',
    ],
  ])("says what becomes of %j", async (job, expected, says) => {
    const file = await writeRules(RULES);
    const path = join(await makeFolder(), "job.json");
    await writeFile(path, JSON.stringify(job));
    const { code, out } = await cli(["check-config", "--job", path, "--config", file], ENV);
    expect(out).toContain(says);
    expect(code).toBe(expected);
  });

  it.each([
    ["", "Unexpected end of JSON input"],
    ["[]", 'found an empty array, expected { "queueName": "invoices"'],
    [
      '{"queueName":"a","name":"b","payload":{}}',
      'found an unknown field "payload", expected { "queueName": "invoices", "name": "charge", "data": {...} }, with "id" and "opts" where',
    ],
    ["{}", 'found nothing as its queueName, expected { "queueName": "invoices"'],
    ['{"queueName":"a","name":5}', 'found 5 as its name, expected { "queueName": "invoices"'],
  ])("refuses %j as a job", async (input, message) => {
    const file = await writeRules(RULES);
    const { code, notes } = await cliProcess(["check-config", file, "--job", "-"], {
      env: ENV,
      input,
    });
    expect(code).toBe(2);
    expect(notes).toContain(`error: --job -: ${message}`);
  });
});
