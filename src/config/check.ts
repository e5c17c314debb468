import { type CheckedMasters, checkMasters } from "./check-masters.ts";
import { checkRules, DEFAULTS_OF_RULES } from "./check-rules.ts";
import { checkShape } from "./check-shape.ts";
import type { Environment } from "./environment.ts";
import { below, type Problem, type Path, writePath } from "./problem.ts";
import type { Rule } from "./rule.ts";

/** Rules that were read, and everything that is wrong with them. */
export interface Checked {
  readonly problems: readonly Problem[];
  readonly masters: CheckedMasters;
  readonly rules: readonly Rule[];
}

/**
 * Checks the content of a rules file, or what takes its place in code. Finds all mistakes at once; throws nothing.
 *
 * @param unreadable where the content has something in place of a value that is no news any more.
 */
export function check(
  content: unknown,
  environment: Environment,
  unreadable: readonly Path[] = [],
): Checked {
  const isUnreadable = below(unreadable);
  const shape = checkShape(content).filter(({ path }) => !isUnreadable(path));
  // What is wrong inside of an option of a rule, or of a condition, is wrong with the option, too.
  const paths = [...shape.map(({ path }) => path), ...unreadable];
  const faulty = new Set(
    paths.flatMap((path) => [path, path.slice(0, 3), path.slice(0, 4)].map(writePath)),
  );
  const isSound = (path: Path): boolean => faulty.size === 0 || !faulty.has(writePath(path));
  const top = typeof content === "object" && content !== null && isSound([]) ? { ...content } : {};
  const masters = checkMasters(top, isSound, environment);
  const { problems, rules } = checkRules(top, isSound, masters, environment);
  return { problems: [...shape, ...masters.problems, ...problems], masters, rules };
}

/** Whether a mistake may be about the masters: it is not in the rules, nor in what is a default for them. */
export function isAboutMasters({ path: [name] }: Problem): boolean {
  return name !== "rules" && !(typeof name === "string" && name in DEFAULTS_OF_RULES);
}
