import type { Condition } from "./condition.ts";
import type { Glob } from "./glob.ts";
import { covers, type Rule } from "./rule.ts";

/** Longer beginnings are not told apart. */
const LONGEST = 64;
/** Comparisons in all; later rules count as reached. Six hundred rules that begin alike do not need so many. */
const MOST_COMPARISONS = 200_000;

/**
 * Rules that were looked at, by what their jobs have in common. A rule stands in the shelf of one of its conditions, under
 * what the texts that match begin with: one that covers another stands under a beginning of the other's.
 */
export class Reach {
  readonly #shelves = new Map<string, Rule[]>();
  #comparisons = 0;

  /** Adds a rule, unless an earlier one matches all of its jobs: then gives the first of those. */
  add(rule: Rule): Rule | undefined {
    if (this.#comparisons > MOST_COMPARISONS) return undefined;
    const alike = rule.when
      .flatMap(shelvesAbove)
      .flatMap((shelf) => this.#shelves.get(shelf) ?? []);
    this.#comparisons += alike.length;
    const earlier = alike.filter((other) => covers(other, rule));
    if (earlier.length > 0) return earlier.reduce((a, b) => (a.index < b.index ? a : b));
    const shelves = rule.when.map(({ path, patterns }) => [
      ...new Set(patterns.map((pattern) => shelfOf(path, pattern))),
    ]);
    const sizes = shelves.map((names) =>
      names.reduce((sum, name) => sum + (this.#shelves.get(name)?.length ?? 0), 0),
    );
    for (const name of shelves[sizes.indexOf(Math.min(...sizes))] ?? []) {
      const shelf = this.#shelves.get(name);
      if (shelf === undefined) this.#shelves.set(name, [rule]);
      else shelf.push(rule);
    }
    return undefined;
  }
}

function shelfOf(path: string, pattern: Glob | null): string {
  if (pattern === null) return `${path} null`;
  return pattern.isName ? `${path} = ${pattern.prefix}` : beginning(path, pattern.prefix);
}

function beginning(path: string, prefix: string): string {
  return `${path} * ${prefix.slice(0, LONGEST)}`;
}

/** Where a rule stands that has a condition which covers this one: it covers the first pattern, too. */
function shelvesAbove({ path, patterns: [first = null] }: Condition): string[] {
  if (first === null) return [shelfOf(path, null)];
  const shelves = first.isName ? [shelfOf(path, first)] : [];
  for (let length = 0; length <= Math.min(first.prefix.length, LONGEST); length++) {
    shelves.push(beginning(path, first.prefix.slice(0, length)));
  }
  return shelves;
}
