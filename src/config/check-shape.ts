import * as v from "valibot";
import { nearest } from "../nearest.ts";
import { KNOWN_IN_NODE, REFUSED_IN_NODE, USUAL_IN_NODE } from "../redis/node-options.ts";
import { guessDuration } from "./duration.ts";
import { isPlain } from "./environment.ts";
import { hintAboutOption, meantChoice } from "./foreign-words.ts";
import { below, type Problem, type Path, wrongValue } from "./problem.ts";
import { describeAt } from "./shown.ts";
import { describePattern, PATTERN_EXPECTED } from "./patterns.ts";
import { EXPECTED, KNOWN_AT_TOP, KNOWN_IN_RULE, rulesFileSchema } from "./schema.ts";

type Issue = v.BaseIssue<unknown>;

/** Everything about the rules that their schema forbids. */
export function checkShape(rules: unknown): Problem[] {
  const { issues = [] } = v.safeParse(rulesFileSchema, rules);
  const objects = objectsIn(rules);
  // An array is an object to Valibot.
  const lists = objects
    .filter(({ value }) => Array.isArray(value))
    .map(({ value, path, expected }) => wrongValue(path, describeAt(path, value), expected));
  const isInList = below(lists.map(({ path }) => path));
  const problems = issues
    // Valibot names but one unknown option of each object.
    .filter(({ type, expected }) => !(type === "strict_object" && expected === "never"))
    // Names in when and unless are read as paths.
    .filter(({ type, path }) => !(type === "regex" && path?.at(-1)?.origin === "key"))
    // Of a master that is an object, nothing but names is asked.
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
  const [name = ""] = path.slice(-1);
  const isMissing = issue.type === "strict_object" && issue.input === undefined;
  const expected =
    isMissing && name in EXPECTED ? EXPECTED[name as keyof typeof EXPECTED] : issue.message;
  if (issue.type === "regex" && issue.message === PATTERN_EXPECTED)
    return wrongValue(
      path,
      describeAt(path, issue.input),
      describePattern(String(issue.input), path),
    );
  const meant = hint(issue);
  return wrongValue(
    path,
    describeAt(path, issue.input),
    meant === undefined ? expected : `${expected}; did you mean ${JSON.stringify(meant)}?`,
  );
}

function hint({ type, input, message, expected }: Issue): string | undefined {
  if (typeof input !== "string") return undefined;
  if (message.includes("duration")) return guessDuration(input);
  if ((type !== "union" && type !== "picklist") || expected === null) return undefined;
  const choices = Array.from(expected.matchAll(/"([^"]+)"/g), ([, choice = ""]) => choice);
  return meantChoice(input, choices) ?? nearest(input, choices);
}

/** Something that has to be an object, and the names that it may have; without them, any. */
interface ObjectPlace {
  readonly value: unknown;
  readonly path: Path;
  readonly expected: string;
  readonly known?: readonly string[];
  /** What is said of a name that is not near to any of them. */
  readonly usual?: string;
}

/** Why some are refused is said where masters are read. */
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
    // A client of ioredis has names of its own.
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
