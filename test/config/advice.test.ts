import { describe, expect, it } from "vitest";
import { defineLocks, LockRulesError, type LockRules } from "../../src/config/index.ts";
import { errorOf, problemsOf } from "./support.ts";

const NODES = "nodes: [redis://lock-1, redis://lock-2, redis://lock-3]";

/** The first problem of a rule, or of an option at the top. */
async function advice(rule: string, top = ""): Promise<string> {
  const [problem] = await problemsOf(`${NODES}\n${top}\nrules:\n- ${rule}\n`);
  return problem === undefined
    ? ""
    : `${problem.path}: found ${problem.found}, expected ${problem.expected}`;
}

describe("advice about a problem", () => {
  it.each<[rule: string, advice: string]>([
    ['{key: a, queue: "q "}', "without spaces around it; \\ takes the next character as it is"],
    [
      '{key: a, when: {"lower(data.a)": b}}',
      'found "lower(", expected a path alone: conditions have no functions',
    ],
    ['{key: a, when: {"data.a ": b}}', 'found " ", expected no space in a path'],
    [
      "{key: a, when: {opts: b}}",
      "rules[0].when.opts: found opts alone, expected a part of it, such as opts.priority",
    ],
    ["{key: a, onConflict: newest_first}", 'did you mean "keepLatest"?'],
    ["{key: a, onConflict: requeue}", 'did you mean "delay"?'],
    [
      "{key: a, timeout: 5}",
      "rules[0].timeout: found an unknown option, expected ttl, which is extended",
    ],
    [
      "{key: a, retries: 5}",
      "rules[0].retries: found an unknown option, expected nothing here: set the option attempts of the job",
    ],
    ["{key: a, name: 5}", "rules[0].name: found an unknown option, expected job"],
    [
      "{key: a, process_mode: newest_first}",
      "rules[0].process_mode: found an unknown option, expected onConflict",
    ],
    [
      "{key: a, <<: {ttl: 5s}}",
      "rules[0]: found an unknown option, expected no merge: options at the top are for all rules, and an alias stands for one value",
    ],
    [
      "{key: a, maxWait: 30d}",
      'rules[0].maxWait: found "30d" (2592000000 ms), expected whole milliseconds from 1 to 2147483647, the longest that a timer can wait (24 days)',
    ],
    ["{key: a, maxHold: 25d}", "the longest that a timer can wait (24 days)"],
    ['key: "{{ data . a }}"', 'found " ", expected no space in a path'],
    ['key: "{{ data. a }}"', 'found " ", expected no space in a path'],
    ['key: "{{ data [0] }}"', 'found " ", expected no space in a path'],
    [
      'key: "{{lower(lower(data.a))}}"',
      'found "lower(", expected lower(...) once, around everything between the braces',
    ],
    [
      'key: "{{data.a ?? lower(data.b)}}"',
      'found "lower(", expected lower(...) once, around everything between the braces',
    ],
    [`key: "{{data['a}}"`, "found a quote without an end, expected the same quote after the name"],
    [
      `key: "{{data.a ?? 'a}}"`,
      "found a quote without an end, expected the same quote after the default",
    ],
    ['key: "{{data.a ?? 007}}"', 'found 007, which is read as 7, expected 7, or "007" in quotes'],
    [
      'key: "{{data.a ?? 9007199254740993}}"',
      'found 9007199254740993, which is read as 9007199254740992, expected "9007199254740993" in quotes',
    ],
    [
      'key: "{{data.a ?? 1.50}}"',
      'found 1.50, which is read as 1.5, expected 1.5, or "1.50" in quotes',
    ],
    ['key: "{{opts}}"', "found opts alone, expected a part of it, such as opts.priority"],
    [
      `key: [${Array.from({ length: 101 }, (_, i) => `k${i}`).join()}]`,
      "rules[0].key: found an array of 101, expected at most 100 templates",
    ],
  ])("names the right form of %s", async (rule, expected) => {
    expect(await advice(rule)).toContain(expected);
  });

  it.each(["redis", "masters", "servers", "connection", "node"])(
    "says where the masters stand that are called %s",
    async (name) => {
      expect(await advice("key: a", `${name}: [redis://h]`)).toBe(
        `${name}: found an unknown option, expected ${name === "node" ? '"nodes"?' : "nodes"}`,
      );
    },
  );

  it("never repeats the words of the validator", () => {
    const values = [Number.NaN, Infinity, -1, 1.5, 1n, "", "x", true, null, Symbol("x"), () => 1];
    const odd = [...values, [], [[]], {}, [{}], new Date(), new Map(), [Number.NaN], [undefined]];
    const names = ["queue", "job", "when", "unless", "key", "ttl", "heartbeat", "onLost"];
    const more = ["driftFactor", "prefix", "restartGuard", "rules", "$schema"];
    const seen = new Set<string>();
    for (const value of odd)
      for (const name of [...names, ...more]) {
        const rule = { key: "a", [name]: value };
        for (const rules of [
          { nodes: ["redis://h"], rules: [rule] },
          { nodes: ["redis://h"], rules: [{ key: "a" }], [name]: value },
          { nodes: ["redis://h"], rules: [{ key: "a", when: { "data.a": value } }] },
          { nodes: ["redis://h"], rules: [{ key: "a", unless: { "data.a": [value] } }] },
          { nodes: [value], rules: [{ key: "a" }] },
        ])
          for (const { found, expected } of faultsInCode(rules)) seen.add(`${found} ${expected}`);
      }
    expect(seen.size).toBeGreaterThan(50);
    expect([...seen].filter((words) => /Invalid|Expected|received/.test(words))).toEqual([]);
  });

  it("comes with an error that has its own name", async () => {
    const error = await errorOf("rules: []");
    expect([error?.name, String(error).split(":")[0]]).toEqual([
      "LockRulesError",
      "LockRulesError",
    ]);
  });
});

function faultsInCode(rules: unknown): LockRulesError["problems"] {
  try {
    defineLocks(rules as LockRules).redlock.on("warning", () => undefined);
    return [];
  } catch (error) {
    if (error instanceof LockRulesError) return error.problems;
    throw error;
  }
}
