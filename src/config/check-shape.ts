import * as v from "valibot";
import { nearest } from "../nearest.ts";
import { guessDuration } from "./duration.ts";
import { hintAboutOption, meantChoice } from "./foreign-words.ts";
import { describePattern, PATTERN_EXPECTED } from "./pattern.ts";
import { type Path, type Problem, wrongValue } from "./problem.ts";
import { EXPECTED, KNOWN_AT_TOP, KNOWN_IN_RULE, rulesFileSchema } from "./schema.ts";
import { describeAt } from "./shown.ts";

type Issue = v.BaseIssue<unknown>;

/** Finds all problems of the rules that their schema forbids. */
export function checkShape(rules: unknown): Problem[] {
  const { issues = [] } = v.safeParse(rulesFileSchema, rules);
  const problems = issues
    // Valibot reports only one unknown option of each object.
    .filter(({ type, expected }) => !(type === "strict_object" && expected === "never"))
    // The names in when and unless are checked as paths.
    .filter(({ type, path }) => !(type === "regex" && path?.at(-1)?.origin === "key"))
    // The parts of a master are checked when their variables have values.
    .filter(({ path, input }) => !(path?.[0].key === "nodes" && isObject(input)))
    .map((issue) => describe(issue, rules));
  return [...problems, ...unknownIn(rules, [], KNOWN_AT_TOP), ...unknownInRules(rules)];
}

function describe(issue: Issue, rules: unknown): Problem {
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  const value = issue.path === undefined ? rules : issue.path.at(-1)?.value;
  return wrongValue(path, describeAt(path, value), expectedFor(issue, path));
}

function expectedFor(issue: Issue, path: Path): string {
  const { type, input, message } = issue;
  if (type === "regex" && message === PATTERN_EXPECTED) return describePattern(String(input), path);
  const name = String(path.at(-1));
  const isMissing = type === "strict_object" && input === undefined;
  if (isMissing && name in EXPECTED) return EXPECTED[name as keyof typeof EXPECTED];
  const meant = hint(issue);
  return meant === undefined ? message : `${message}; did you mean ${JSON.stringify(meant)}?`;
}

function hint({ type, input, message, expected }: Issue): string | undefined {
  if (typeof input !== "string") return undefined;
  if (message.includes("duration")) return guessDuration(input);
  if ((type !== "union" && type !== "picklist") || expected === null) return undefined;
  const choices = Array.from(expected.matchAll(/"([^"]+)"/g), ([, choice = ""]) => choice);
  return meantChoice(input, choices) ?? nearest(input, choices);
}

function unknownInRules(rules: unknown): Problem[] {
  if (!isObject(rules) || !Array.isArray(rules["rules"])) return [];
  return rules["rules"].flatMap((rule, index) => unknownIn(rule, ["rules", index], KNOWN_IN_RULE));
}

function unknownIn(value: unknown, path: Path, known: readonly string[]): Problem[] {
  if (!isObject(value)) return [];
  return Object.keys(value)
    .filter((name) => !known.includes(name))
    .map((name) => {
      const meant = nearest(name, known);
      const usual = `one of ${known.filter((each) => !each.startsWith("$")).join(", ")}`;
      const expected = hintAboutOption(name) ?? (meant === undefined ? usual : `"${meant}"?`);
      return { path: [...path, name], part: "name", found: "an unknown option", expected };
    });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
