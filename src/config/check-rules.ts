import { LOCK_DATA_OPTIONS } from "../bullmq/data-options.ts";
import { withLock, type WithLockOptions } from "../bullmq/with-lock.ts";
import { describeValue } from "../errors.ts";
import { TemplateError } from "../keys/template-fault.ts";
import { parse } from "../keys/template-parser.ts";
import { REDLOCK_DATA_OPTIONS } from "../redlock/data-options.ts";
import { LONGEST_TTL } from "../lock/stored.ts";
import { checkRedlockOptions } from "../redlock/options.ts";
import { Redlock } from "../redlock/redlock.ts";
import { type CheckedMasters, readOptions } from "./check-masters.ts";
import { asList, Condition, type Conditions } from "./condition.ts";
import type { Environment } from "./environment.ts";
import { findFaults, foundAsWritten, type Options } from "./find-faults.ts";
import { type Mistake, toMistake, wrongValue } from "./mistake.ts";
import type { Path } from "./path.ts";
import { Reach } from "./reach.ts";
import { isEmpty, type Rule, type RuleMatch } from "./rule.ts";

/** The rules, and what is wrong with them: without mistakes, all rules are right. */
export interface CheckedRules {
  readonly mistakes: readonly Mistake[];
  readonly rules: readonly Rule[];
}

/** Options at the top that are defaults of the rules: the ttl and the heartbeat come from the `Redlock`. */
export const DEFAULTS_OF_RULES = Object.fromEntries(
  Object.entries(LOCK_DATA_OPTIONS).filter(([name]) => !(name in REDLOCK_DATA_OPTIONS)),
);

/** Reads all rules. `isSound` tells what has the right shape. */
export function checkRules(
  top: Options,
  isSound: (path: Path) => boolean,
  masters: CheckedMasters,
  environment: Environment,
): CheckedRules {
  const checker = new Checker(masters, isSound, environment);
  const defaults = checker.defaults(top);
  if (!isSound(["rules"]) || !Array.isArray(top["rules"])) {
    return { mistakes: checker.mistakes, rules: [] };
  }
  const rules = [...top["rules"].entries()]
    .filter(([index]) => isSound(["rules", index]))
    .map(([index, entry]) => checker.rule(entry as Options, index, defaults));
  return { mistakes: checker.mistakes, rules };
}

class Checker {
  readonly mistakes: Mistake[] = [];
  readonly #isSound: (path: Path) => boolean;
  readonly #environment: Environment;
  readonly #redlock: Redlock;
  readonly #maxTtl: number;
  readonly #reach = new Reach();

  constructor(
    { options, isMaxTtlKnown }: CheckedMasters,
    isSound: (path: Path) => boolean,
    environment: Environment,
  ) {
    this.#isSound = isSound;
    this.#environment = environment;
    const tolerant = isMaxTtlKnown ? options : { ...options, maxTtl: LONGEST_TTL };
    this.#maxTtl = checkRedlockOptions(tolerant).maxTtl;
    // It connects to nothing before the first lock.
    this.#redlock = new Redlock(tolerant);
    this.#redlock.on("warning", () => undefined);
  }

  defaults(top: Options): Options {
    return this.#options(top, DEFAULTS_OF_RULES, []);
  }

  rule(given: Options, index: number, defaults: Options): Rule {
    const path = ["rules", index];
    const options = this.#options(given, LOCK_DATA_OPTIONS, path);
    const known = this.mistakes.length;
    const written = Object.fromEntries(
      ["queue", "job", "when", "unless"]
        .filter((name) => given[name] !== undefined && this.#isSound([...path, name]))
        .map((name) => [name, given[name]]),
    ) as RuleMatch;
    const { queue = "*", job = "*", when = {}, unless = {} } = written;
    const rule: Rule = {
      index,
      written,
      when: [
        new Condition("queueName", queue),
        new Condition("name", job),
        ...this.#conditions(when, [...path, "when"]),
      ],
      unless: this.#conditions(unless, [...path, "unless"]),
      key: this.#key(given["key"], [...path, "key"]),
      options: { ...defaults, ...options },
    };
    const isUnderstood = ["queue", "job", "when", "unless"].every((name) =>
      this.#isSound([...path, name]),
    );
    if (isUnderstood && !this.mistakes.slice(known).some(({ part }) => part === "name"))
      this.#refuseUnreached(rule, path);
    return rule;
  }

  /** Reads the options of `withLock` that stand at the top or in a rule. */
  #options(given: Options, known: typeof DEFAULTS_OF_RULES, path: Path): Options {
    const read = readOptions(given, known, path, this.#isSound, this.#environment);
    this.mistakes.push(...read.mistakes);
    const options = read.options;
    this.#checkLongest("ttl", options, given, path);
    this.#checkLongest("minHold", options, given, path);
    this.#check(options, given, path);
    return options;
  }

  #conditions(conditions: Conditions, path: Path): Condition[] {
    return Object.entries(conditions).flatMap(([name, values]) => {
      const condition = this.#orMistake([...path, name], "name", () => new Condition(name, values));
      return condition ?? [];
    });
  }

  #key(key: unknown, path: Path): Rule["key"] {
    if (typeof key !== "string" && !Array.isArray(key)) return null;
    if (!this.#isSound(path)) return null;
    for (const [index, text] of asList<string>(key).entries()) {
      const at = Array.isArray(key) ? [...path, index] : path;
      this.#orMistake(at, "value", () => parse(text));
    }
    return key;
  }

  #orMistake<T>(path: Path, part: Mistake["part"], read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      const { at, found, expected } = error.fault;
      this.mistakes.push({ path, part, found, expected, offset: at });
      return undefined;
    }
  }

  #refuseUnreached(rule: Rule, path: Path): void {
    const refuse = (because: string, expected: string): void => {
      const found = `a rule that no job reaches, because ${because}`;
      this.mistakes.push(wrongValue(path, found, expected));
    };
    if (isEmpty(rule))
      return refuse("its unless excludes all that it matches", "conditions that some job meets");
    const earlier = this.#reach.add(rule);
    if (earlier === undefined) return;
    const because = `rules[${earlier.index}] matches all of its jobs`;
    refuse(because, "the special rule before the general one");
  }

  /** No key may live longer than the `Redlock` allows for. */
  #checkLongest(name: string, options: Options, given: Options, path: Path): void {
    const ms = options[name];
    if (typeof ms !== "number" || ms <= this.#maxTtl) return;
    delete options[name];
    const found = foundAsWritten(String(ms), given[name], ms);
    const expected =
      ms > LONGEST_TTL
        ? `at most ${LONGEST_TTL} ms, half of the hour for which masters remember a key`
        : `at most ${this.#maxTtl} ms, the maxTtl of all rules; raise maxTtl at the top to ${describeValue(given[name])}`;
    this.mistakes.push(wrongValue([...path, name], found, expected));
  }

  #check(options: Options, given: Options, path: Path): void {
    if (Object.keys(options).length === 0) return;
    const read = { ...options };
    const check = (checked: Options): void => {
      // The key is looked at on its own.
      const all = { ...checked, redlock: this.#redlock, key: () => null } as WithLockOptions;
      withLock(all, async () => await Promise.resolve());
    };
    const removed = (name: string): void => {
      if (name === "ttl") delete options["heartbeat"];
    };
    for (const fault of findFaults(options, check, removed)) {
      const mistake = toMistake(fault, path);
      const name = String(mistake.path[path.length]);
      const found = foundAsWritten(fault.found, given[name], read[name]);
      this.mistakes.push({ ...mistake, found });
    }
  }
}
