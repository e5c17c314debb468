import * as v from "valibot";
import { nearest } from "../nearest.ts";
import { KNOWN_IN_NODE, REFUSED_IN_NODE, USUAL_IN_NODE } from "../redis/node-options.ts";
import { guessDuration } from "./duration.ts";
import { isPlain } from "./environment.ts";
import { hintAboutOption, meantChoice } from "./foreign-words.ts";
import { describePattern, PATTERN_EXPECTED } from "./pattern.ts";
import { below, type Path, type Problem, wrongValue } from "./problem.ts";
import { EXPECTED, KNOWN_AT_TOP, KNOWN_IN_RULE, rulesFileSchema } from "./schema.ts";
import { describeAt } from "./shown.ts";

type Issue = v.BaseIssue<unknown>;

/** Finds all problems of the rules that their schema forbids. */
export function checkShape(rules: unknown): Problem[] {
  const { issues = [] } = v.safeParse(rulesFileSchema, rules);
  const objects = objectsIn(rules);
  // Valibot takes an array for an object.
  const lists = objects
    .filter(({ value }) => Array.isArray(value))
    .map(({ value, path, expected }) => wrongValue(path, describeAt(path, value), expected));
  const isInList = below(lists.map(({ path }) => path));
  const problems = issues
    // Valibot reports only one unknown option of each object.
    .filter(({ type, expected }) => !(type === "strict_object" && expected === "never"))
    // The names in when and unless are checked as paths.
    .filter(({ type, path }) => !(type === "regex" && path?.at(-1)?.origin === "key"))
    // The parts of a master are checked when their variables have values.
    .filter(({ type, input, path }) => !(type === "union" && isMaster(path) && isObject(input)))
    .map(describe)
    .filter(({ path }) => !isInList(path));
  return [...lists, ...problems, ...objects.flatMap(unknownIn)];
}

function isMaster(path: Issue["path"]): boolean {
  return path?.[0].key === "nodes" && path.length === 2;
}

function describe(issue: Issue): Problem {
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  return wrongValue(path, describeAt(path, issue.input), expectedFor(issue, path));
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

/** A value that must be an object. */
interface ObjectPlace {
  readonly value: unknown;
  readonly path: Path;
  readonly expected: string;
  /** The names it may have; without them, any. */
  readonly known?: readonly string[];
  /** The expectation for an unknown name that is near to none of them. */
  readonly usual?: string;
}

/** The reader of masters reports why it refuses some of these. */
const knownInNode = [...KNOWN_IN_NODE, ...REFUSED_IN_NODE];

function objectsIn(rules: unknown): ObjectPlace[] {
  const top = { value: rules, path: [], expected: EXPECTED.file, known: KNOWN_AT_TOP };
  if (!isObject(rules)) return [top];
  const ofRules = listOf(rules["rules"]).flatMap((value, index) => {
    const path = ["rules", index];
    const conditions = (name: string): ObjectPlace => ({
      value: isObject(value) ? value[name] : undefined,
      path: [...path, name],
      expected: EXPECTED.conditions,
    });
    const rule = { value, path, expected: EXPECTED.rule, known: KNOWN_IN_RULE };
    return [rule, conditions("when"), conditions("unless")];
  });
  const ofNodes = listOf(rules["nodes"]).flatMap((value, index) => {
    const [path, usual] = [["nodes", index], USUAL_IN_NODE];
    // A client of ioredis has other names.
    return isPlain(value)
      ? [{ value, path, expected: EXPECTED.node, known: knownInNode, usual }]
      : [];
  });
  return [top, ...ofNodes, ...ofRules];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function unknownIn({ value, path, known, usual }: ObjectPlace): Problem[] {
  if (!isObject(value) || known === undefined) return [];
  return Object.keys(value)
    .filter((name) => !known.includes(name))
    .map((name) => {
      const meant = nearest(name, known);
      const hint = path[0] === "nodes" ? undefined : hintAboutOption(name);
      return {
        path: [...path, name],
        part: "name",
        found: "an unknown option",
        expected:
          hint ??
          (meant === undefined
            ? (usual ?? `one of ${known.filter((each) => !each.startsWith("$")).join(", ")}`)
            : `"${meant}"?`),
      };
    });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
