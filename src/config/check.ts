import { type CheckedMasters, checkMasters } from "./check-masters.ts";
import { checkRules, DEFAULTS_OF_RULES } from "./check-rules.ts";
import { checkShape } from "./check-shape.ts";
import type { Environment } from "./environment.ts";
import type { Mistake } from "./mistake.ts";
import { type Path, writePath } from "./path.ts";
import type { Rule } from "./rule.ts";

/** Rules that were read, and everything that is wrong with them. */
export interface Checked {
  readonly mistakes: readonly Mistake[];
  readonly masters: CheckedMasters;
  readonly rules: readonly Rule[];
}

/** Checks the content of a rules file, or what takes its place in code. Finds all mistakes at once; throws nothing. */
export function check(content: unknown, environment: Environment): Checked {
  const shape = checkShape(content);
  // What is wrong inside of an option of a rule is wrong with the option, too.
  const faulty = new Set(shape.flatMap(({ path }) => [path, path.slice(0, 3)].map(writePath)));
  const isSound = (path: Path): boolean => faulty.size === 0 || !faulty.has(writePath(path));
  const top = typeof content === "object" && content !== null && isSound([]) ? { ...content } : {};
  const masters = checkMasters(top, isSound, environment);
  const { mistakes, rules } = checkRules(top, isSound, masters, environment);
  return { mistakes: [...shape, ...masters.mistakes, ...mistakes], masters, rules };
}

/** Whether a mistake may be about the masters: it is not in the rules, nor in what is a default for them. */
export function isAboutMasters({ path: [name] }: Mistake): boolean {
  return name !== "rules" && !(typeof name === "string" && name in DEFAULTS_OF_RULES);
}
