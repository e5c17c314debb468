import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defineLocks } from "../../src/config/index.ts";
import { Pattern } from "../../src/config/pattern.ts";
import { problemsOf, line } from "./support.ts";

const NODES = ["redis://a", "redis://b", "redis://c"];

async function expectationsOf(queue: string, option = "queue"): Promise<string[]> {
  // Jobs that the first rule does not match would run without a lock.
  const rules = [
    { [option]: queue, key: "a" },
    { queue: "*", key: null },
  ];
  const problems = await problemsOf(JSON.stringify({ nodes: NODES, rules }));
  return problems.map(({ path, expected }) => `${path}: ${expected}`);
}

describe("a pattern of another kind", () => {
  it.each<[instead: string, patterns: string[]]>([
    ["neither templates nor variables", ["{{queueName}}", "${QUEUE}"]],
    ["without spaces around it", ["invoices "]],
    [
      "unless, with a name or a pattern with * and ?",
      [
        "!emails",
        "!report-*",
        "!true",
        "!(emails|mails)",
        "!{emails,*-mails}",
        "!=x",
        "!== x",
        "! prod",
        "not prod",
        "NOT prod",
        "!(a)",
        "!{prod}",
        '!"prod"',
        "!'*prod'",
        "!^prod",
        "!~prod",
        "!/prod/",
        "!!prod",
        '!""',
        "!null",
        "!",
      ],
    ],
    [
      "no regular expression, comparison or quotes",
      [
        "{invoices,refunds}",
        "report-{daily,weekly}",
        "invoices,refunds",
        "invoices, refunds",
        "invoices|refunds",
        "^(invoices|refunds)$",
        "@(invoices|refunds)",
        "{*-a,b}",
        "/^invoices$/",
        "/invoices/i",
        "^invoices",
        "invoices$",
        "[i]nvoices",
        "invoices-[0-9]+",
        "invoices-\\d+",
        "+(a)",
        "invoices\\",
        "{invoices",
        "(?:a|b)",
        "(a|b)+",
        "*(a|b)",
        "a.*|b.*",
        "(a|b",
        "/a|b/",
        '"a", "b"',
        ">100",
        "<x",
        ">= 5",
        "== prod",
        "=x",
        "~x",
        "a && b",
        "1..5",
        "1...-5",
        "(prod)",
        "(a)*",
        "(?!a)b",
        ".*",
        ".*prod",
        ".+",
        "x-.+",
        "prod+",
        '"prod"',
        "'re*'",
        "`a`",
        '""',
      ],
    ],
  ])("is refused, with what to write instead: %s", async (instead, patterns) => {
    for (const pattern of patterns)
      for (const option of ["queue", "job"])
        expect(await expectationsOf(pattern, option)).toEqual([expect.stringContaining(instead)]);
  });

  it("is refused with its opposite at the same place", async () => {
    const text = `nodes: [redis://a, redis://b, redis://c]
rules:
  - when: { data.ref: "!main", "data.tags[*]": [v1, "!v2"] }
    unless: { data.ref: "!main" }
    key: a
`;
    expect((await problemsOf(text)).map(({ expected }) => expected.split(",")[0])).toEqual([
      "unless",
      "unless",
      "when",
    ]);
  });

  it("of a queue has no colon", async () => {
    expect(await expectationsOf("bull:invoices")).toEqual([
      "rules[0].queue: the name of a queue alone, without the prefix of its keys: BullMQ allows no colon in it",
    ]);
    expect(await expectationsOf("charge:retry", "job")).toEqual([]);
  });

  it("is refused in a list, and in when and unless", async () => {
    const text = `nodes: [redis://a, redis://b, redis://c]
rules:
  - queue: [invoices, "{a,b}", 5x|y]
    when: { data.ref: "!main", data.tag: [v1, "/v.*/"] }
    unless: { data.env: "\${APP_ENV}" }
    key: a
`;
    expect((await problemsOf(text)).map(line)).toEqual([
      expect.stringMatching(/^3:23 rules\[0\]\.queue\[1\]: found "\{a,b\}", expected a name/),
      expect.stringMatching(/^3:32 rules\[0\]\.queue\[2\]: found "5x\|y", expected a name/),
      expect.stringMatching(
        /^4:23 rules\[0\]\.when\["data\.ref"\]: found "!main", expected unless/,
      ),
      expect.stringMatching(/^4:47 rules\[0\]\.when\["data\.tag"\]\[1\]: found "\/v\.\*\/"/),
      expect.stringMatching(/^5:25 rules\[0\]\.unless\["data\.env"\]: found "\$\{APP_ENV\}"/),
    ]);
  });

  it.each([
    ["\\{a\\,b\\}", "{a,b}"],
    ["a\\|b", "a|b"],
    ["\\!a", "!a"],
    ["\\/a/", "/a/"],
    ["\\[a\\]", "[a]"],
    ["\\^a\\$", "^a$"],
    ["a \\(b\\)", "a (b)"],
    [
      "Charge (retry) #2 + 50% 'x' \"y\" <z> & ~`=;",
      "Charge (retry) #2 + 50% 'x' \"y\" <z> & ~`=;",
    ],
    ["a/b.c_d-e", "a/b.c_d-e"],
    ["c++", "c++"],
    ["a+b", "a+b"],
    ["A\\+", "A+"],
    ["user.*", "user.created"],
    ["v1..2", "v1..2"],
    ["1\\..5", "1..5"],
    ["Not found", "Not found"],
    ["not\\ found", "not found"],
    ["notes", "notes"],
    ["\\>100", ">100"],
    ["\\(prod\\)", "(prod)"],
    ["(retry) charge", "(retry) charge"],
    ["\\.*", ".x"],
    ["a.\\+", "a.+"],
    ['\\"prod\\"', '"prod"'],
    ["'twas", "'twas"],
    ["a \\&& b", "a && b"],
    ["größe-日本", "größe-日本"],
    ["\\\\", "\\"],
    ["a\\?", "a?"],
  ])("%s is a pattern for the name %s", async (job, name) => {
    await using locks = defineLocks({ nodes: NODES, rules: [{ job, key: "a" }] });
    expect(locks.explain({ queueName: "q", name }).outcome).toBe("lock");
    expect(locks.explain({ queueName: "q", name: `x${name}` }).outcome).toBe("no-rule");
  });
});

describe("a list of patterns", () => {
  it("matches each name that one of them matches", async () => {
    await using locks = defineLocks({
      nodes: NODES,
      rules: [
        { queue: ["invoices", "refund-*"], job: ["charge", "pay"], key: "a" },
        { queue: ["invoices"], key: null },
      ],
    });
    const ruleOf = (queueName: string, name: string) => locks.explain({ queueName, name }).rule;
    expect(ruleOf("invoices", "charge")).toBe(0);
    expect(ruleOf("refund-1", "pay")).toBe(0);
    expect(ruleOf("invoices", "mail")).toBe(1);
    expect(ruleOf("refund-1", "mail")).toBeUndefined();
  });

  it("is refused when it is empty, or has another value in it", async () => {
    const text = `nodes: [redis://a, redis://b, redis://c]
rules:
  - { queue: [], job: [5], key: [] }
  - { queue: {invoices,refunds}, key: [a, 5] }
  - { queue: q, key: [a, "{{dta}}"] }
`;
    expect((await problemsOf(text)).map(line)).toEqual([
      expect.stringContaining(
        "3:14 rules[0].queue: found an empty list, expected a name, or a pattern",
      ),
      expect.stringContaining("3:24 rules[0].job[0]: found 5, expected a name, or a pattern"),
      expect.stringContaining(
        "3:33 rules[0].key: found an empty list, expected a template such as",
      ),
      expect.stringContaining(
        "4:14 rules[1].queue: found an object, expected a name, or a pattern",
      ),
      expect.stringContaining("4:43 rules[1].key[1]: found 5, expected a template such as"),
      expect.stringContaining('5:29 rules[2].key[1]: found "dta", expected data, name, id'),
    ]);
  });
});

const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 6 });

/** All names of up to 6 letters out of three; no pattern has the third. */
const names = Array.from({ length: 7 }, (_, length) => length).flatMap((length) =>
  Array.from({ length: 3 ** length }, (_, n) =>
    Array.from({ length }, (_, i) => "abc"[Math.floor(n / 3 ** i) % 3]).join(""),
  ),
);

function toRegExp(text: string): RegExp {
  return new RegExp(`^${text.replaceAll("*", "[^]*").replaceAll("?", "[^]")}$`);
}

describe("a pattern", () => {
  it.each([
    ["invoices", "invoices", true],
    ["invoices", "Invoices", false],
    ["report-*", "report-", true],
    ["report-*", "my-report-1", false],
    ["*", "", true],
    ["?", "🙂", true],
    ["?", "", false],
    ["a.c", "abc", false],
    ["\\*", "*", true],
    ["\\*", "x", false],
    ["a\\?", "a?", true],
    ["\\\\", "\\", true],
    ["\\", "\\", true],
    ["[ab]", "a", false],
  ])("%j and %j: %s", (glob, name, matches) => {
    expect(new Pattern(glob).matches(name)).toBe(matches);
  });

  it("matches like the equivalent regular expression", () => {
    fc.assert(
      fc.property(pattern, fc.constantFrom(...names), (text, name) => {
        expect(new Pattern(text).matches(name)).toBe(toRegExp(text).test(name));
      }),
      { numRuns: 2_000 },
    );
  });

  it("covers another one only if it matches all names of the other", () => {
    const matching = new Map<string, string[]>();
    const matchedBy = (text: string): string[] => {
      const known = matching.get(text) ?? names.filter((name) => toRegExp(text).test(name));
      matching.set(text, known);
      return known;
    };
    let covered = 0;
    // Names of up to six letters distinguish patterns of up to four parts.
    const short = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 4 });
    fc.assert(
      fc.property(short, short, (wide, narrow) => {
        const truth = matchedBy(narrow).every((name) => toRegExp(wide).test(name));
        const isCovered = new Pattern(wide).covers(new Pattern(narrow));
        if (isCovered) expect(truth).toBe(true);
        // A question mark beside a star is not compared in full.
        else if (!/\?\*|\*\?/.test(wide)) expect(truth).toBe(false);
        covered += isCovered ? 1 : 0;
      }),
      { numRuns: 3_000 },
    );
    expect(covered).toBeGreaterThan(100);
  });

  it("takes no exponential time", () => {
    const glob = new Pattern(`${"*a".repeat(2_000)}b`);
    expect(glob.matches("a".repeat(20_000))).toBe(false);
  });

  it("does not compare very long patterns", () => {
    const text = `*${"ab".repeat(20_000)}`.repeat(6);
    const slow = `*${"a".repeat(20_000)}b`;
    expect(new Pattern(text).covers(new Pattern(`${text}a`))).toBe(false);
    expect(new Pattern(slow).covers(new Pattern("a".repeat(200_000)))).toBe(false);
    expect(new Pattern("*").covers(new Pattern(text))).toBe(true);
  });
});
