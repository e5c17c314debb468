import type { Condition } from "./condition.ts";
import type { Glob } from "./glob.ts";
import { covers, type Rule } from "./rule.ts";

/** Longer beginnings are not told apart. */
const LONGEST = 64;
/** Comparisons in all; later rules count as reached. Six hundred rules that begin alike do not need so many. */
const MOST_COMPARISONS = 200_000;

/** Rules by what the texts at one path are, or begin with; those for what is missing stand under null. */
class Shelves {
  readonly #names = new Map<string | null, Rule[]>();
  readonly #beginnings = new Map<string | null, Rule[]>();
  /** The lengths of beginnings that there are. */
  readonly #lengths = new Set<number>();

  /** How many rules stand where one with this condition would. */
  sizeFor({ patterns }: Condition): number {
    let size = 0;
    for (const pattern of patterns) size += this.#at(pattern).get(keyOf(pattern))?.length ?? 0;
    return size;
  }

  add({ patterns }: Condition, rule: Rule): void {
    for (const pattern of patterns) {
      const [shelves, key] = [this.#at(pattern), keyOf(pattern)];
      const shelf = shelves.get(key);
      if (shelf === undefined) shelves.set(key, [rule]);
      else if (shelf.at(-1) !== rule) shelf.push(rule);
      if (shelves === this.#beginnings) this.#lengths.add(key?.length ?? 0);
    }
  }

  /** Rules with conditions that may cover this one: they cover its first pattern, too. */
  above({ patterns: [first = null] }: Condition): Rule[][] {
    if (first === null) return [this.#names.get(null) ?? []];
    const shelves = first.isName ? [this.#names.get(first.prefix) ?? []] : [];
    for (const length of this.#lengths)
      if (length <= first.prefix.length)
        shelves.push(this.#beginnings.get(first.prefix.slice(0, length)) ?? []);
    return shelves;
  }

  #at(pattern: Glob | null): Map<string | null, Rule[]> {
    return pattern?.isName === false ? this.#beginnings : this.#names;
  }
}

function keyOf(pattern: Glob | null): string | null {
  if (pattern === null) return null;
  return pattern.isName ? pattern.prefix : pattern.prefix.slice(0, LONGEST);
}

/**
 * Rules that were looked at, by what their jobs have in common. A rule stands in the shelves of one of its conditions, under
 * what the texts that match begin with: one that covers another stands under a beginning of the other's.
 */
export class Reach {
  readonly #paths = new Map<string, Shelves>();
  #comparisons = 0;

  /** Adds a rule, unless an earlier one matches all of its jobs: then gives the first of those. */
  add(rule: Rule): Rule | undefined {
    if (this.#comparisons > MOST_COMPARISONS) return undefined;
    let first: Rule | undefined;
    for (const condition of rule.when)
      for (const shelf of this.#paths.get(condition.path)?.above(condition) ?? []) {
        this.#comparisons += shelf.length;
        for (const other of shelf)
          if (other.index < (first?.index ?? Infinity) && covers(other, rule)) first = other;
      }
    if (first !== undefined) return first;
    let [fewest, least] = [rule.when[0], Infinity];
    for (const condition of rule.when) {
      const size = this.#shelvesAt(condition.path).sizeFor(condition);
      if (size < least) [fewest, least] = [condition, size];
    }
    if (fewest !== undefined) this.#shelvesAt(fewest.path).add(fewest, rule);
    return undefined;
  }

  #shelvesAt(path: string): Shelves {
    const known = this.#paths.get(path);
    if (known !== undefined) return known;
    const shelves = new Shelves();
    this.#paths.set(path, shelves);
    return shelves;
  }
}
