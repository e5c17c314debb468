import { describe, expect, it } from "vitest";
import { defineLocks } from "../../src/config/index.ts";
import { faultsOf, line } from "./support.ts";

const NODES = ["redis://a", "redis://b", "redis://c"];

async function mistakesOf(queue: string, option = "queue"): Promise<string[]> {
  // The last rule is the trap: what the first does not match runs without a lock.
  const rules = [
    { [option]: queue, key: "a" },
    { queue: "*", key: null },
  ];
  const faults = await faultsOf(JSON.stringify({ nodes: NODES, rules }));
  return faults.map(({ path, expected }) => `${path}: ${expected}`);
}

describe("a pattern that is none", () => {
  it.each<[pattern: string, instead: string]>([
    ["{invoices,refunds}", "a list: [invoices, refunds]; \\ takes the next character as it is"],
    ["report-{daily,weekly}", "a list: [report-daily, report-weekly]; \\"],
    ["invoices,refunds", "a list: [invoices, refunds]; \\"],
    ["invoices, refunds", "a list: [invoices, refunds]; \\"],
    ["invoices|refunds", "a list: [invoices, refunds]; \\"],
    ["^(invoices|refunds)$", "a list: [invoices, refunds]; \\"],
    ["@(invoices|refunds)", "a list: [invoices, refunds]; \\"],
    ["!emails", "unless: { NAME: emails }, or a rule for emails before this one; \\"],
    ["!report-*", 'unless: { NAME: "report-*" }, or'],
    ["!true", 'unless: { NAME: "true" }, or'],
    ["!(emails|mails)", "unless: { NAME: [emails, mails] }, or"],
    ["!{emails,*-mails}", 'unless: { NAME: [emails, "*-mails"] }, or'],
    ["{*-a,b}", 'a list: ["*-a", b]; \\'],
    ["/^invoices$/", "a name, or a pattern with * and ? such as"],
    ["/invoices/i", "or a list of them; no regular expression; \\"],
    ["^invoices", "no regular expression"],
    ["invoices$", "no regular expression"],
    ["[i]nvoices", "no regular expression"],
    ["invoices-[0-9]+", "no regular expression"],
    ["invoices-\\d+", "no regular expression"],
    ["+(a)", "no regular expression"],
    ["invoices ", '"invoices", without spaces around it'],
    ["invoices\\", "no regular expression"],
    ["{invoices", "no regular expression"],
    ["!=x", "unless: { NAME: x }, or a rule for x before this one; \\"],
    ["!== x", "unless: { NAME: x }, or"],
    ["! prod", "unless: { NAME: prod }, or"],
    ["not prod", "unless: { NAME: prod }, or"],
    ["NOT prod", "unless: { NAME: prod }, or"],
    ["!(a)", "unless: { NAME: a }, or"],
    ["!{prod}", "unless: { NAME: prod }, or"],
    ['!"prod"', "unless: { NAME: prod }, or"],
    ["!'*prod'", 'unless: { NAME: "*prod" }, or'],
    ["!^prod", "unless, with a name or a pattern with * and ?; \\"],
    ["!~prod", "unless, with a name or a pattern with * and ?; \\"],
    ["!/prod/", "unless, with a name or a pattern"],
    ["!!prod", "unless, with a name or a pattern"],
    ['!""', "unless, with a name or a pattern"],
    ["!null", "unless, with a name or a pattern"],
    ["!", "no regular expression; \\"],
    ["(?:a|b)", "no regular expression"],
    ["(a|b)+", "no regular expression"],
    ["*(a|b)", "no regular expression"],
    ["a.*|b.*", "no regular expression"],
    ["(a|b", "no regular expression"],
    ["/a|b/", "no regular expression"],
    ['"a", "b"', "no regular expression"],
    [">100", "no comparison; \\"],
    ["<x", "no comparison"],
    [">= 5", "no comparison"],
    ["== prod", "no comparison"],
    ["=x", "no comparison"],
    ["~x", "no comparison"],
    ["a && b", "no comparison"],
    ["1..5", "no comparison"],
    ["1...-5", "no comparison"],
    ["(prod)", "no regular expression"],
    ["(a)*", "no regular expression"],
    ["(?!a)b", "no regular expression"],
    [".*", "no regular expression"],
    [".*prod", "no regular expression"],
    [".+", "no regular expression"],
    ["x-.+", "no regular expression"],
    ["prod+", "no regular expression"],
    ['"prod"', "prod, without quotes in the text; \\"],
    ["'re*'", '"re*", without quotes in the text; \\'],
    ["`a`", "a, without quotes in the text; \\"],
    ['""', "or a list of them; no regular expression"],
    ["{{queueName}}", "neither templates nor variables"],
    ["${QUEUE}", "neither templates nor variables"],
  ])("%s is refused, and says what to write", async (pattern, instead) => {
    for (const option of ["queue", "job"]) {
      const problems = await mistakesOf(pattern, option);
      expect(problems).toEqual([expect.stringContaining(`rules[0].${option}: `)]);
      const name = option === "queue" ? "queueName" : "name";
      expect(problems[0]).toContain(instead.replace("NAME", name));
    }
  });

  it("is told what its opposite is where it stands", async () => {
    const text = `nodes: [redis://a, redis://b, redis://c]
rules:
  - when: { data.ref: "!main", "data.tags[*]": [v1, "!v2"] }
    unless: { data.ref: "!main", 'data["odd: name"]': "!x" }
    key: a
  - when: { data.a: "!null", data.b: '!""', data.c: "!undefined", data.d: "!~" }
    unless: { data.a: "!null", data.b: "!^x" }
    key: a
`;
    expect((await faultsOf(text)).map(({ expected }) => expected.split("; ")[0])).toEqual([
      "unless: { data.ref: main }, or a rule for main before this one",
      'unless: { "data.tags[*]": v2 }, or a rule for v2 before this one',
      "when: { data.ref: main }",
      String.raw`when: { "data[\"odd: name\"]": x }`,
      "unless: { data.a: null }, or a rule for null before this one",
      'unless: { data.b: "" }, or a rule for "" before this one',
      "unless: { data.c: null }, or a rule for null before this one",
      "unless, with a name or a pattern with * and ?",
      "when: { data.a: null }",
      "when, with a name or a pattern with * and ?",
    ]);
  });

  it("knows that no queue has a colon in its name", async () => {
    expect(await mistakesOf("bull:invoices")).toEqual([
      "rules[0].queue: the name of a queue alone, without the prefix of its keys: BullMQ allows no colon in it",
    ]);
    expect(await mistakesOf("charge:retry", "job")).toEqual([]);
  });

  it("is found in a list, and in when and unless", async () => {
    const text = `nodes: [redis://a, redis://b, redis://c]
rules:
  - queue: [invoices, "{a,b}", 5x|y]
    when: { data.ref: "!main", data.tag: [v1, "/v.*/"] }
    unless: { data.env: "\${APP_ENV}" }
    key: a
`;
    expect((await faultsOf(text)).map(line)).toEqual([
      expect.stringMatching(
        /^3:23 rules\[0\]\.queue\[1\]: found "\{a,b\}", expected a list: \[a, b\]/,
      ),
      expect.stringMatching(/^3:32 rules\[0\]\.queue\[2\]: found "5x\|y", expected a list/),
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
  ])("%s is one, for the name %s", async (job, name) => {
    await using locks = defineLocks({ nodes: NODES, rules: [{ job, key: "a" }] });
    expect(locks.explain({ queueName: "q", name }).outcome).toBe("lock");
    expect(locks.explain({ queueName: "q", name: `x${name}` }).outcome).toBe("no-rule");
  });
});

describe("a list of patterns", () => {
  it("matches what any of them matches", async () => {
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

  it("is refused when it is empty, or has something else in it", async () => {
    const text = `nodes: [redis://a, redis://b, redis://c]
rules:
  - { queue: [], job: [5], key: [] }
  - { queue: {invoices,refunds}, key: [a, 5] }
  - { queue: q, key: [a, "{{dta}}"] }
`;
    expect((await faultsOf(text)).map(line)).toEqual([
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
