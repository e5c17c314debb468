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
import { findFaults, foundAsWritten, type Options } from "./find-faults.ts";
import { Glob } from "./glob.ts";
import { type Mistake, toMistake, wrongValue } from "./mistake.ts";
import type { Path } from "./path.ts";
import type { Rule } from "./rule.ts";

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
): CheckedRules {
  const checker = new Checker(masters, isSound);
  const defaults = checker.defaults(top);
  if (!isSound(["rules"]) || !Array.isArray(top["rules"])) {
    return { mistakes: checker.mistakes, rules: [] };
  }
  const rules: Rule[] = [];
  const matching: Rule[] = [];
  for (const [index, entry] of top["rules"].entries()) {
    if (!isSound(["rules", index])) continue;
    const rule = checker.rule(entry as Options, index, defaults);
    rules.push(rule);
    if (!["queue", "job"].every((name) => isSound(["rules", index, name]))) continue;
    const earlier = matching.find((other) => covers(other, rule));
    if (earlier === undefined) matching.push(rule);
    else {
      checker.mistakes.push(
        wrongValue(
          ["rules", index],
          `a rule that no job reaches, because rules[${earlier.index}] matches all of its jobs`,
          "the special rule before the general one",
        ),
      );
    }
  }
  return { mistakes: checker.mistakes, rules };
}

function covers(wide: Rule, narrow: Rule): boolean {
  return wide.queue.covers(narrow.queue) && wide.job.covers(narrow.job);
}

class Checker {
  readonly mistakes: Mistake[] = [];
  readonly #isSound: (path: Path) => boolean;
  readonly #redlock: Redlock;
  readonly #maxTtl: number;

  constructor({ options, isMaxTtlKnown }: CheckedMasters, isSound: (path: Path) => boolean) {
    this.#isSound = isSound;
    const tolerant = isMaxTtlKnown ? options : { ...options, maxTtl: LONGEST_TTL };
    this.#maxTtl = checkRedlockOptions(tolerant).maxTtl;
    // It connects to nothing before the first lock.
    this.#redlock = new Redlock(tolerant);
    this.#redlock.on("warning", () => undefined);
  }

  defaults(top: Options): Options {
    const { options, mistakes } = readOptions(top, DEFAULTS_OF_RULES, [], this.#isSound);
    this.mistakes.push(...mistakes);
    this.#check(options, top, []);
    return options;
  }

  rule(given: Options, index: number, defaults: Options): Rule {
    const path = ["rules", index];
    const { options, mistakes } = readOptions(given, LOCK_DATA_OPTIONS, path, this.#isSound);
    this.mistakes.push(...mistakes);
    this.#checkTtl(options, given, path);
    this.#check(options, given, path);
    const globOf = (name: string): Glob => {
      const text = given[name];
      return new Glob(typeof text === "string" && text !== "" ? text : "*");
    };
    return {
      index,
      queue: globOf("queue"),
      job: globOf("job"),
      key: this.#key(given["key"], [...path, "key"]),
      options: { ...defaults, ...options },
    };
  }

  #key(key: unknown, path: Path): string | null {
    if (typeof key !== "string") return null;
    try {
      parse(key);
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      const { at, found, expected } = error.fault;
      this.mistakes.push({ ...wrongValue(path, found, expected), offset: at });
    }
    return key;
  }

  #checkTtl(options: Options, given: Options, path: Path): void {
    const { ttl } = options;
    if (typeof ttl !== "number" || ttl <= this.#maxTtl) return;
    delete options["ttl"];
    const found = foundAsWritten(String(ttl), given["ttl"], ttl);
    const expected = `at most ${this.#maxTtl} ms, the maxTtl of all rules; raise maxTtl at the top to ${describeValue(given["ttl"])}`;
    this.mistakes.push(wrongValue([...path, "ttl"], found, expected));
  }

  #check(options: Options, given: Options, path: Path): void {
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
