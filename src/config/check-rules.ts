import { LOCK_DATA_OPTIONS, readLockOptions, refuseIdleOptions } from "../bullmq/lock-settings.ts";
import { TemplateError } from "../keys/scanner.ts";
import { describeValue } from "../sentences.ts";
import { findTemplateProblems } from "../keys/template-parser.ts";
import { LONGEST_TTL } from "../lock/stored-lock.ts";
import { checkRedlockOptions, REDLOCK_OPTIONS } from "../redlock/options.ts";
import { Redlock } from "../redlock/redlock.ts";
import { type Environment, isPlain } from "./environment.ts";
import { describeDuration, findProblems, type Options, readOptions } from "./options.ts";
import { type Path, type Problem, wrongValue } from "./problem.ts";
import { KNOWN_IN_RULE } from "./schema.ts";
import {
  asList,
  Condition,
  type ConditionValue,
  covers,
  isEmpty,
  type Rule,
  type RuleMatch,
} from "./rule.ts";

/** Options at the top that are defaults of the rules; the ttl and the heartbeat of a rule default to those of the `Redlock`. */
export const DEFAULTS_OF_RULES = Object.fromEntries(
  Object.entries(LOCK_DATA_OPTIONS).filter(([name]) => !(name in REDLOCK_OPTIONS)),
);

/** Reads all rules. They are right when there are no problems. */
export function checkRules(
  top: Options,
  isSound: (path: Path) => boolean,
  masters: Options,
  isMaxTtlKnown: boolean,
  environment: Environment,
): { problems: readonly Problem[]; rules: readonly Rule[] } {
  const tolerant = isMaxTtlKnown ? masters : { ...masters, maxTtl: LONGEST_TTL };
  const checker = new Checker(tolerant, isSound, environment);
  const defaults = checker.options(top, DEFAULTS_OF_RULES, []);
  const given = isSound(["rules"]) && Array.isArray(top["rules"]) ? top["rules"] : [];
  const rules = [...given.entries()]
    .filter(([index]) => isSound(["rules", index]))
    .map(([index, entry]) => checker.rule(entry as Options, index, defaults));
  return { problems: checker.problems, rules };
}

/** The parts of a rule that select its jobs. */
const MATCHING = ["queue", "job", "when", "unless"] as const;
/** Each of so many rules is compared with all rules before it. */
const MOST_COMPARED = 1_000;

class Checker {
  readonly problems: Problem[] = [];
  readonly #isSound: (path: Path) => boolean;
  readonly #environment: Environment;
  readonly #redlock: Redlock;
  readonly #maxTtl: number;
  readonly #reached: Rule[] = [];

  constructor(masters: Options, isSound: (path: Path) => boolean, environment: Environment) {
    this.#isSound = isSound;
    this.#environment = environment;
    this.#maxTtl = checkRedlockOptions(masters).maxTtl;
    // A Redlock does not connect before the first lock.
    this.#redlock = new Redlock(masters);
    this.#redlock.on("warning", () => undefined);
  }

  rule(given: Options, index: number, defaults: Options): Rule {
    const path = ["rules", index];
    const options = this.options(given, LOCK_DATA_OPTIONS, path, defaults);
    const before = this.problems.length;
    const sound = MATCHING.filter((name) => this.#isSound([...path, name]));
    const written = Object.fromEntries(
      sound.filter((name) => name in given).map((name) => [name, given[name]]),
    ) as RuleMatch;
    const key = this.#key(given["key"], [...path, "key"]);
    const rule: Rule = {
      index,
      written,
      when: [
        new Condition("queueName", written.queue ?? "*"),
        new Condition("name", written.job ?? "*"),
        ...this.#conditionsOf(given["when"], [...path, "when"]),
      ],
      unless: this.#conditionsOf(given["unless"], [...path, "unless"]),
      key,
      // Without a lock no option applies, and the defaults need not fit.
      options: key === null ? {} : this.#withDefaults(options, defaults, path),
    };
    // An unknown name may be that of what selects the jobs.
    const isKnown = Object.keys(given).every((name) => KNOWN_IN_RULE.includes(name));
    const isUnderstood = this.problems.slice(before).every(({ part }) => part === "value");
    if (sound.length === MATCHING.length && isKnown && isUnderstood)
      this.#refuseUnreached(rule, path);
    return rule;
  }

  options(
    given: Options,
    known: typeof DEFAULTS_OF_RULES,
    path: Path,
    defaults: Options = {},
  ): Options {
    const { options, problems } = readOptions(given, known, path, this.#isSound, this.#environment);
    this.problems.push(...problems);
    for (const name of ["ttl", "minHold"]) this.#checkLongest(name, options, given, path);
    this.problems.push(...findProblems(options, (read) => this.#check(read), path, given));
    const isSound = Object.keys(known).every(
      (name) => given[name] === undefined || name in options,
    );
    // What gives an option its effect may be among the wrong ones. Defaults need an effect in no rule.
    if (isSound && path.length > 0) {
      const refuseIdle = (read: Options): void => refuseIdleOptions(read, { ...defaults, ...read });
      this.problems.push(...findProblems(options, refuseIdle, path, given));
    }
    return options;
  }

  /** Adds the defaults at the top, which may not fit the options of the rule. */
  #withDefaults(options: Options, defaults: Options, path: Path): Options {
    const all = { ...defaults, ...options };
    for (const problem of findProblems({ ...all }, (read) => this.#check(read), path, all)) {
      const name = String(problem.path.at(-1));
      const isDefault = name in defaults && !(name in options);
      const found = isDefault ? `${problem.found} at the top` : problem.found;
      this.problems.push({ ...problem, found });
    }
    return all;
  }

  /** The key is checked on its own. */
  #check(options: Options): void {
    readLockOptions({ ...options, redlock: this.#redlock, key: () => null });
  }

  #conditionsOf(conditions: unknown, path: Path): Condition[] {
    if (!isPlain(conditions)) return [];
    return Object.entries(conditions).flatMap(([name, values]) => {
      const at = [...path, name];
      try {
        return new Condition(name, this.#isSound(at) ? (values as ConditionValue) : null);
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        const { at: offset, found, expected } = error.problem;
        this.problems.push({ path: at, part: "name", found, expected, offset });
        return [];
      }
    });
  }

  #key(key: unknown, path: Path): Rule["key"] {
    for (const [index, text] of asList(key).entries()) {
      if (typeof text !== "string") continue;
      const at = Array.isArray(key) ? [...path, index] : path;
      for (const { at: offset, found, expected } of findTemplateProblems(text))
        this.problems.push({ ...wrongValue(at, found, expected), offset });
    }
    return this.#isSound(path) ? (key as Rule["key"]) : null;
  }

  #refuseUnreached(rule: Rule, path: Path): void {
    const refuse = (because: string, expected: string): void => {
      const found = `a rule that no job reaches, because ${because}`;
      this.problems.push(wrongValue(path, found, expected));
    };
    if (isEmpty(rule))
      return refuse("its unless excludes all of its jobs", "conditions that some job meets");
    if (rule.index >= MOST_COMPARED) return;
    const earlier = this.#reached.find((other) => covers(other, rule));
    if (earlier === undefined) {
      this.#reached.push(rule);
      return;
    }
    const because = `rules[${earlier.index}] matches all of its jobs`;
    refuse(because, "the special rule before the general one");
  }

  /** Refuses a duration that is longer than the `Redlock` allows for any key. */
  #checkLongest(name: string, options: Options, given: Options, path: Path): void {
    const ms = options[name];
    if (typeof ms !== "number" || ms <= this.#maxTtl) return;
    delete options[name];
    const found = describeDuration(String(ms), given[name], ms);
    const expected =
      ms > LONGEST_TTL
        ? `at most ${LONGEST_TTL} ms, half of the hour for which masters remember a key`
        : `at most ${this.#maxTtl} ms, the maxTtl of all rules; raise maxTtl at the top to ${describeValue(given[name])}`;
    this.problems.push(wrongValue([...path, name], found, expected));
  }
}
