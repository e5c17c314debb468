import type { Pattern } from "./pattern.ts";
import { type Condition, covers, type Rule } from "./rule.ts";

/** Beginnings are compared up to this length. */
const LONGEST = 64;
/** The limit of all comparisons; later rules count as reached. Six hundred rules that begin alike need fewer. */
const MOST_COMPARISONS = 200_000;

/**
 * The rules so far, to find a rule that no job reaches. Comparing all pairs of 4,000 rules takes half a minute, so each rule is
 * filed under the beginnings of one of its conditions: a condition that covers another one has a beginning of the other's.
 */
export class Reach {
  readonly #files = new Map<string, Rule[]>();
  readonly #lengths = new Set<number>();
  #comparisons = 0;

  /** Adds a rule, or returns the first earlier rule that matches all of its jobs. */
  add(rule: Rule): Rule | undefined {
    if (this.#comparisons > MOST_COMPARISONS) return undefined;
    let first: Rule | undefined;
    for (const condition of rule.when)
      for (const other of this.#above(condition)) {
        this.#comparisons += 1;
        if (other.index < (first?.index ?? Infinity) && covers(other, rule)) first = other;
      }
    if (first === undefined) this.#file(rule);
    return first;
  }

  /** Rules with a condition that may cover this one, because it may cover its first pattern. */
  *#above({ path, patterns: [first = null] }: Condition): Iterable<Rule> {
    if (first === null || first.isName) yield* this.#files.get(keyOf(path, first)) ?? [];
    if (first === null) return;
    for (const length of this.#lengths)
      if (length <= first.prefix.length)
        yield* this.#files.get(`${path}*${first.prefix.slice(0, length)}`) ?? [];
  }

  /** Files a rule under the condition with the fewest rules. */
  #file(rule: Rule): void {
    let [fewest, least]: [Condition | undefined, number] = [undefined, Infinity];
    for (const condition of rule.when) {
      const keys = condition.patterns.map((pattern) => keyOf(condition.path, pattern));
      const size = keys.reduce((sum, key) => sum + (this.#files.get(key)?.length ?? 0), 0);
      if (size < least) [fewest, least] = [condition, size];
    }
    const { path = "", patterns = [] } = fewest ?? {};
    for (const pattern of patterns)
      if (pattern?.isName === false) this.#lengths.add(Math.min(pattern.prefix.length, LONGEST));
    for (const key of new Set(patterns.map((pattern) => keyOf(path, pattern)))) {
      const file = this.#files.get(key);
      if (file === undefined) this.#files.set(key, [rule]);
      else file.push(rule);
    }
  }
}

function keyOf(path: string, pattern: Pattern | null): string {
  if (pattern === null) return path;
  return pattern.isName
    ? `${path}=${pattern.prefix}`
    : `${path}*${pattern.prefix.slice(0, LONGEST)}`;
}
