import * as v from "valibot";
import { describeValue } from "../errors.ts";
import { nearest } from "../nearest.ts";
import { KNOWN_IN_NODE, REFUSED_IN_NODE, USUAL_IN_NODE } from "../redis/endpoint.ts";
import { guessDuration } from "./duration.ts";
import { hintAboutOption, meantChoice } from "./foreign-words.ts";
import { type Mistake, NOTHING, wrongValue } from "./mistake.ts";
import { isPlain } from "./environment.ts";
import type { Path } from "./path.ts";
import { describePattern, PATTERN_EXPECTED } from "./patterns.ts";
import { EXPECTED, KNOWN_AT_TOP, KNOWN_IN_RULE, rulesFileSchema } from "./schema.ts";

/** Everything about the rules that their schema forbids. */
export function checkShape(rules: unknown): Mistake[] {
  // An array is an object to Valibot.
  if (Array.isArray(rules)) return [wrongValue([], describeInput(rules), EXPECTED.file)];
  const { issues = [] } = v.safeParse(rulesFileSchema, rules);
  const mistakes = issues
    // Valibot names but one unknown option of each object.
    .filter(({ type, expected }) => !(type === "strict_object" && expected === "never"))
    // Names in when and unless are read as paths.
    .filter(({ type, path }) => !(type === "regex" && path?.at(-1)?.origin === "key"))
    // Of a master that is an object, nothing but names is asked.
    .filter(({ type, input, path }) => !(type === "union" && isMaster(path) && isObject(input)))
    .map((issue) => describe(issue));
  return [...mistakes, ...unknownOptions(rules)];
}

function isMaster(path: v.BaseIssue<unknown>["path"]): boolean {
  return path?.[0].key === "nodes" && path.length === 2;
}

function describe(issue: v.BaseIssue<unknown>): Mistake {
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  const [name = ""] = path.slice(-1);
  const isMissing = issue.type === "strict_object" && issue.input === undefined;
  const expected =
    isMissing && name in EXPECTED ? EXPECTED[name as keyof typeof EXPECTED] : issue.message;
  if (issue.type === "regex" && issue.message === PATTERN_EXPECTED)
    return wrongValue(path, describeInput(issue.input), describePattern(String(issue.input), path));
  const meant = hint(issue);
  // What is wrong among the masters may be a password.
  const isSecret = path[0] === "nodes" && typeof issue.input === "string";
  const found = isSecret ? "a text" : describeInput(issue.input);
  return wrongValue(
    path,
    found,
    meant === undefined ? expected : `${expected}; did you mean ${JSON.stringify(meant)}?`,
  );
}

function hint({ type, input, message, expected }: v.BaseIssue<unknown>): string | undefined {
  if (typeof input !== "string") return undefined;
  if (message.includes("duration")) return guessDuration(input);
  if ((type !== "union" && type !== "picklist") || expected === null) return undefined;
  const choices = Array.from(expected.matchAll(/"([^"]+)"/g), ([, choice = ""]) => choice);
  return meantChoice(input, choices) ?? nearest(input, choices);
}

function describeInput(input: unknown): string {
  if (input === null || input === NOTHING) return "nothing";
  return Array.isArray(input) && input.length === 0 ? "an empty list" : describeValue(input);
}

/** Why some are refused is said where masters are read. */
const knownInNode = [...KNOWN_IN_NODE, ...REFUSED_IN_NODE];

function unknownOptions(rules: unknown): Mistake[] {
  if (!isObject(rules)) return [];
  const inRules = Array.isArray(rules.rules)
    ? rules.rules.flatMap((rule: unknown, index) => [
        ...unknownIn(rule, KNOWN_IN_RULE, ["rules", index]),
        ...listsIn(rule, ["rules", index]),
      ])
    : [];
  const inNodes = Array.isArray(rules.nodes)
    ? rules.nodes.flatMap((node: unknown, index) =>
        // A client of ioredis has names of its own.
        isPlain(node) ? unknownIn(node, knownInNode, ["nodes", index], USUAL_IN_NODE) : [],
      )
    : [];
  return [...unknownIn(rules, KNOWN_AT_TOP, []), ...inNodes, ...inRules];
}

/** A list of conditions, which is an object to Valibot. */
function listsIn(rule: unknown, path: Path): Mistake[] {
  if (!isObject(rule)) return [];
  return ["when", "unless"]
    .filter((name) => Array.isArray(rule[name]))
    .map((name) => wrongValue([...path, name], describeInput(rule[name]), EXPECTED.conditions));
}

function unknownIn(
  value: unknown,
  known: readonly string[],
  path: Path,
  usual = `one of ${known.filter((each) => !each.startsWith("$")).join(", ")}`,
): Mistake[] {
  if (!isObject(value)) return [];
  return Object.keys(value)
    .filter((name) => !known.includes(name))
    .map((name) => {
      const meant = nearest(name, known);
      const hint = path[0] === "nodes" ? undefined : hintAboutOption(name);
      return {
        path: [...path, name],
        part: "name",
        found: "an unknown option",
        expected: hint ?? (meant === undefined ? usual : `"${meant}"?`),
      };
    });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
