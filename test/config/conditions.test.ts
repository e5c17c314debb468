import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Conditions, defineLocks, type LockRule } from "../../src/config/index.ts";
import { Condition, covers, isEmpty, type Rule } from "../../src/config/rule.ts";
import { problemsOf, line } from "./support.ts";

const NODES = ["redis://a", "redis://b", "redis://c"];
const HEAD = "nodes: [redis://a, redis://b, redis://c]\n";

function ruleOf(rules: readonly LockRule[], data: unknown, more: object = {}): number | undefined {
  const locks = defineLocks({ nodes: NODES, rules });
  return locks.explain({ queueName: "builds", name: "build", data, ...more }).rule;
}

/** Whether a rule with these conditions matches the data. */
function matches(when: Conditions, data: unknown, more?: object): boolean {
  const isMatched = ruleOf([{ when, key: "a" }], data, more) === 0;
  // With a single condition, unless is the opposite.
  expect(ruleOf([{ unless: when, key: "a" }], data, more) === 0).toBe(!isMatched);
  return isMatched;
}

describe("when and unless", () => {
  it.each<[Conditions, unknown, boolean]>([
    [{ "data.ref": "refs/heads/main" }, { ref: "refs/heads/main" }, true],
    [{ "data.ref": "refs/heads/main" }, { ref: "refs/heads/other" }, false],
    [{ "data.ref": "refs/heads/*" }, { ref: "refs/heads/a/b" }, true],
    [{ "data.ref": ["main", "release-?"] }, { ref: "release-1" }, true],
    [{ "data.ref": ["main", "release-?"] }, { ref: "release-10" }, false],
    [{ "data.dryRun": true }, { dryRun: true }, true],
    [{ "data.dryRun": true }, { dryRun: "true" }, true],
    [{ "data.dryRun": true }, { dryRun: false }, false],
    [{ "data.dryRun": true }, {}, false],
    [{ "data.tier": 3 }, { tier: "3" }, true],
    [{ "data.tier": 3 }, { tier: 3.5 }, false],
    [{ "data.ref": "" }, { ref: "" }, true],
    [{ "data.ref": "" }, {}, false],
    [{ "data.ref": "*" }, { ref: "" }, true],
    [{ "data.ref": "?*" }, { ref: "" }, false],
    [{ "data.parent": null }, {}, true],
    [{ "data.parent": null }, { parent: null }, true],
    [{ "data.parent": null }, { parent: "null" }, false],
    [{ "data.parent": "null" }, { parent: null }, false],
    [{ "data.parent": [null, "root"] }, { parent: "root" }, true],
    [{ "data.a.b.c": null }, { a: 5 }, true],
    [{ "data.a.b": "x" }, { a: [{ b: "x" }] }, false],
    [{ "data.a": "*" }, { a: {} }, false],
    [{ "data.a": "*" }, { a: ["x"] }, false],
    [{ "data.a": "*" }, {}, false],
    [{ "data.length": "*" }, "text", false],
    [{ "data.toString": null }, {}, true],
    [{ "data.constructor": "*" }, {}, false],
    [{ "data.labels[*]": "urgent" }, { labels: ["a", "urgent"] }, true],
    [{ "data.labels[*]": "urgent" }, { labels: [] }, false],
    [{ "data.labels[*]": [null, "*"] }, { labels: [] }, false],
    [{ "data.labels[*]": null }, { labels: [] }, false],
    [{ "data.labels[*]": null }, { labels: ["a", null] }, true],
    [{ "data.labels[*]": null }, { labels: null }, true],
    [{ "data.labels[*]": null }, { labels: "text" }, true],
    [{ "data.labels[*]": "*" }, { labels: "text" }, false],
    [{ "data.labels[*]": null }, {}, true],
    [{ "data.l[*].a": null }, { l: [{ a: 1 }, {}] }, true],
    [{ "data.l[*].a": null }, { l: [{ a: 1 }, "text"] }, true],
    [{ "data.l[*].a": null }, { l: [{ a: 1 }, { a: {} }] }, false],
    [{ "data.l[*].a": [null, "x"] }, { l: [{ a: 1 }, { a: "x" }] }, true],
    [{ "data.l[*].a": [null, "x"] }, { l: [{ a: 1 }, { a: "y" }] }, false],
    [{ "data.l[*].m[*]": null }, { l: [{ m: [] }, { m: [1] }] }, false],
    [{ "data.l[*].m[*]": null }, { l: [{ m: [1] }, {}] }, true],
    [{ "data.labels[*].name": "a*" }, { labels: [{ name: "b" }, { name: "ab" }] }, true],
    [{ "data.labels[1]": "b" }, { labels: ["a", "b"] }, true],
    [{ 'data["odd name"]': "b" }, { "odd name": "b" }, true],
    [{ data: "x" }, "x", true],
    [{ queueName: "builds" }, {}, true],
    [{ name: "b*" }, {}, true],
    [{ id: null }, {}, true],
    [{ "opts.priority": 1 }, {}, false],
  ])("%j of %j: %s", (conditions, data, expected) => {
    expect(matches(conditions, data)).toBe(expected);
  });

  it("compare the options and the id of a job too", () => {
    expect(matches({ "opts.priority": 1 }, {}, { opts: { priority: 1 } })).toBe(true);
    expect(matches({ id: "repeat*" }, {}, { id: "repeat-1" })).toBe(true);
  });

  it("require all of when and none of unless; the first rule that matches counts", () => {
    const rules: LockRule[] = [
      { when: { "data.a": 1, "data.b": 2 }, unless: { "data.c": 3, "data.d": 4 }, key: "a" },
      { when: { "data.a": 1 }, key: "b" },
      { key: null },
    ];
    expect(ruleOf(rules, { a: 1, b: 2 })).toBe(0);
    expect(ruleOf(rules, { a: 1 })).toBe(1);
    expect(ruleOf(rules, { a: 1, b: 2, c: 3 })).toBe(1);
    expect(ruleOf(rules, { a: 1, b: 2, d: 4 })).toBe(1);
    expect(ruleOf(rules, { b: 2 })).toBe(2);
  });

  it("select the policy of a job", () => {
    const locks = defineLocks({
      nodes: NODES,
      rules: [
        {
          unless: { "data.ref": "refs/heads/main" },
          key: "{{data.ref}}",
          onConflict: "cancelInProgress",
        },
        { key: "{{data.ref}}" },
      ],
    });
    const policyOf = (ref: string) =>
      locks.explain({ queueName: "q", name: "n", data: { ref } }).options["onConflict"];
    expect(policyOf("refs/heads/topic")).toBe("cancelInProgress");
    expect(policyOf("refs/heads/main")).toBe("delay");
  });

  it("are refused with the position of each problem", async () => {
    const text = `${HEAD}rules:
  - when: { dta.ref: main }
    key: a
  - unless: { data..ref: main, data.ok: x, "data.ref ": y }
    key: a
  - { when: {}, unless: [data.ref], key: a }
  - { when: { data.a: {}, data.b: [], data.c: [[x]] }, key: a }
  - when:
      data.a:
      data.b: [x, ]
      data.c:
        -
      data.d: null
      data.e: ~
    key: b
  - { if: "data.a == 1", key: c }
  - { when: "data.a == 1", key: c }
`;
    expect((await problemsOf(text)).map(line)).toEqual([
      '3:13 rules[0].when["dta.ref"]: found "dta", expected data, name, id, queueName or opts; did you mean "data"?',
      expect.stringMatching(
        /^5:20 rules\[1\]\.unless\["data\.\.ref"\]: found "\.", expected a name/,
      ),
      expect.stringMatching(
        /^5:53 rules\[1\]\.unless\["data\.ref "\]: found " ", expected no space in a path/,
      ),
      expect.stringMatching(
        /^7:13 rules\[2\]\.when: found an empty object, expected paths with what they must be/,
      ),
      expect.stringMatching(/^7:25 rules\[2\]\.unless: found an array of 1, expected paths/),
      expect.stringMatching(
        /^8:23 rules\[3\]\.when\["data\.a"\]: found an empty object, expected a text, a pattern/,
      ),
      expect.stringMatching(
        /^8:35 rules\[3\]\.when\["data\.b"\]: found an empty list, expected a text/,
      ),
      expect.stringMatching(
        /^8:48 rules\[3\]\.when\["data\.c"\]\[0\]: found an array of 1, expected a text/,
      ),
      expect.stringMatching(/^10:7 rules\[4\]\.when\["data\.a"\]: found nothing, expected a text/),
      expect.stringMatching(
        /^13:10 rules\[4\]\.when\["data\.c"\]\[0\]: found nothing, expected a text/,
      ),
      "17:7 rules[5].if: found an unknown option, expected when, such as when: { data.ref: refs/heads/main }",
      expect.stringMatching(/^18:13 rules\[6\]\.when: found "data\.a == 1", expected paths/),
    ]);
  });
});

describe("a rule that no job reaches", () => {
  it.each<[what: string, rules: LockRule[], unreached: Record<number, number | undefined>]>([
    ["after one without conditions", [{ key: "a" }, { when: { "data.a": 1 }, key: "b" }], { 1: 0 }],
    [
      "not: before a rule without conditions",
      [{ when: { "data.a": 1 }, key: "b" }, { key: "a" }],
      {},
    ],
    [
      "after the same conditions",
      [
        { when: { "data.a": ["x-*", 1] }, key: "a" },
        { when: { "data.a": "x-1", "data.b": 2 }, key: "b" },
        { when: { 'data["a"]': 1 }, key: "b" },
        { when: { "data.a": [1, "y"] }, key: "b" },
        { when: { "data.a": null }, key: "b" },
      ],
      { 1: 0, 2: 0 },
    ],
    [
      "after an unless that does not touch it",
      [
        { unless: { queueName: "mails", "data.dryRun": true }, key: "a" },
        { queue: ["invoices", "refunds"], unless: { "data.dryRun": "tru?" }, key: "b" },
        { queue: ["invoices", "mails"], unless: { "data.dryRun": true }, key: "c" },
        { queue: "invoices", key: "d" },
      ],
      { 1: 0 },
    ],
    [
      "by its own conditions",
      [{ when: { "data.a": ["x", "y"] }, unless: { "data.a": "?" }, key: "a" }, { key: "b" }],
      { 0: undefined },
    ],
    [
      "after a list of queues",
      [
        { queue: ["a-*", "b"], key: "a" },
        { queue: ["a-1", "b"], job: "x", key: "b" },
        { queue: ["a-1", "c"], key: "c" },
      ],
      { 1: 0 },
    ],
  ])("%s", async (_, rules, unreached) => {
    const problems = await problemsOf(JSON.stringify({ nodes: NODES, rules }));
    const found = problems.map(({ path, found }) => [
      Number(/\d+/.exec(path)?.[0]),
      /rules\[(\d+)\]/.exec(found)?.[1],
    ]);
    expect(Object.fromEntries(found)).toEqual(
      Object.fromEntries(
        Object.entries(unreached).map(([index, earlier]) => [index, earlier?.toString()]),
      ),
    );
  });

  const pattern = fc.string({ unit: fc.constantFrom("a", "b", "*", "?"), maxLength: 3 });
  const patterns = fc.array(pattern, { minLength: 1, maxLength: 2 });
  const conditions = fc.dictionary(fc.constantFrom("data.a", "data.b"), patterns, { maxKeys: 2 });
  const ruleParts = fc.record({ queue: patterns, when: conditions, unless: conditions });
  it("has no job that an earlier rule does not match", () => {
    const texts = ["", "a", "b", "aa", "ab", "ba", "c"];
    const values = [...texts, undefined];
    let found = 0;
    fc.assert(
      fc.property(fc.array(ruleParts, { maxLength: 8 }), (parts) => {
        const rules: Rule[] = [];
        for (const rule of parts.map(read)) {
          const earlier = rules.find((other) => covers(other, rule));
          found += earlier === undefined ? 0 : 1;
          if (earlier === undefined) rules.push(rule);
          for (const queueName of texts)
            for (const a of values)
              for (const b of [undefined, "a", "bb"]) {
                const job = { queueName, name: "n", data: { a, b }, opts: {} };
                const isMatched = (other: Rule): boolean =>
                  other.when.every((condition) => condition.holds(job)) &&
                  !other.unless.some((condition) => condition.holds(job));
                if (isEmpty(rule)) expect(isMatched(rule)).toBe(false);
                if (earlier !== undefined && isMatched(rule)) expect(isMatched(earlier)).toBe(true);
              }
        }
      }),
      { numRuns: 500 },
    );
    expect(found).toBeGreaterThan(50);
  });
});

function conditionsOf(conditions: Conditions): Condition[] {
  return Object.entries(conditions).map(([path, values]) => new Condition(path, values));
}

/** Creates a rule from its parts. */
function read(
  { queue, when, unless }: { queue: string[]; when: Conditions; unless: Conditions },
  index: number,
): Rule {
  return {
    index,
    written: {},
    when: [new Condition("queueName", queue), ...conditionsOf(when)],
    unless: conditionsOf(unless),
    key: null,
    options: {},
  };
}
