import { LockConfigError } from "../errors.ts";
import { parseEndpoint } from "../redis/endpoint.ts";
import type { NodeOption } from "../redis/node-options.ts";
import {
  checkRedlockOptions,
  REDLOCK_OPTIONS,
  type RedlockOptions,
  refuseSeveralNodes,
} from "../redlock/options.ts";
import { checkRules, DEFAULTS_OF_RULES } from "./check-rules.ts";
import { checkShape } from "./check-shape.ts";
import { type Environment, expandVariables, isPlain } from "./environment.ts";
import { findProblems, type Options, readOptions } from "./options.ts";
import {
  below,
  type Path,
  type Problem,
  type RulesProblem,
  toProblem,
  writePath,
  wrongValue,
} from "./problem.ts";
import type { Rule } from "./rule.ts";

/** Rules that were read, with all their problems. */
export interface Checked {
  readonly problems: readonly Problem[];
  /** Options with which a `Redlock` can be created; wrong ones are left out. */
  readonly masters: RedlockOptions;
  readonly rules: readonly Rule[];
}

/**
 * Checks the content of a rules file, or of rules in code. Finds all problems, and throws nothing.
 *
 * @param unreadable paths at which the content has a substitute for a value with a reported problem.
 */
export function check(
  content: unknown,
  environment: Environment,
  unreadable: readonly Path[] = [],
): Checked {
  const isUnreadable = below(unreadable);
  const shape = checkShape(content).filter(({ path }) => !isUnreadable(path));
  // A problem inside of an option of a rule, or of a condition, makes the option wrong, too.
  const paths = [...shape.map(({ path }) => path), ...unreadable];
  const wrong = new Set(
    paths.flatMap((path) => [path, path.slice(0, 3), path.slice(0, 4)].map(writePath)),
  );
  const isSound = (path: Path): boolean => wrong.size === 0 || !wrong.has(writePath(path));
  const top: Options =
    typeof content === "object" && content !== null && isSound([]) ? { ...content } : {};
  const { nodes, problems } = readNodes(top["nodes"], isSound, environment);
  const read = readOptions(top, REDLOCK_OPTIONS, [], isSound, environment);
  const masters: Options = { nodes, ...read.options };
  problems.push(...read.problems, ...findProblems(masters, checkRedlockOptions, [], top));
  // With a problem in these, the longest ttl is unknown.
  const isMaxTtlKnown = ["ttl", "maxTtl"].every(
    (name) => top[name] === undefined || name in masters,
  );
  const checked = checkRules(top, isSound, masters, isMaxTtlKnown, environment);
  return { problems: [...shape, ...problems, ...checked.problems], masters, rules: checked.rules };
}

/** Whether a problem is in the options of the masters, and not in a rule or a default of the rules. */
export function isAboutMasters(problem: RulesProblem): boolean {
  const option = optionOf(problem);
  return option !== "rules" && !Object.hasOwn(DEFAULTS_OF_RULES, option);
}

/** Whether a problem is in the list of masters. */
export function isAboutNodes(problem: RulesProblem): boolean {
  return optionOf(problem) === "nodes";
}

function optionOf({ path }: RulesProblem): string {
  return path.split(/[.[]/, 1)[0] ?? "";
}

/** A `Redlock` needs a master, even when all of them are wrong. */
const SUBSTITUTE: NodeOption[] = ["redis://127.0.0.1"];

function readNodes(
  given: unknown,
  isSound: (path: Path) => boolean,
  environment: Environment,
): { nodes: NodeOption[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const nodes: NodeOption[] = [];
  const firsts = new Map<string, Path>();
  for (const [index, entry] of isSound(["nodes"]) && Array.isArray(given) ? given.entries() : []) {
    const path = ["nodes", index];
    const parts = isPlain(entry) ? Object.keys(entry).map((name) => [...path, name]) : [];
    if (![path, ...parts].every(isSound)) continue;
    const { value, problems: missing } = expandVariables(entry, environment, path);
    problems.push(...missing);
    if (missing.length > 0) continue;
    try {
      refuseSeveralNodes("", value);
      const { address } = parseEndpoint("", value);
      const first = firsts.get(address);
      if (first === undefined) {
        firsts.set(address, path);
        nodes.push(value as NodeOption);
        continue;
      }
      const expected = "another server: two votes of one server are one";
      problems.push(wrongValue(path, `the same server as ${writePath(first)}`, expected));
    } catch (error) {
      if (!(error instanceof LockConfigError)) throw error;
      problems.push(toProblem(error, path));
    }
  }
  return { nodes: nodes.length > 0 ? nodes : SUBSTITUTE, problems };
}
