import { LockConfigError } from "../errors.ts";
import type { RulesChange } from "../events.ts";
import type { RedlockOptions } from "../redlock/options.ts";
import type { Rule } from "./rule.ts";

export type { RulesChange } from "../events.ts";

/**
 * Refuses options of a `Redlock` that differ from those that it was made with. They are not shown: they may hold passwords.
 * @throws {LockConfigError}
 */
export function requireSameMasters(made: RedlockOptions, given: RedlockOptions): void {
  const names = new Set([...Object.keys(made), ...Object.keys(given)]) as Set<keyof RedlockOptions>;
  for (const name of names) {
    // What comes from code, such as a client or telemetry, is the same object.
    if (made[name] === given[name]) continue;
    if (JSON.stringify(made[name]) === JSON.stringify(given[name])) continue;
    throw new LockConfigError({
      path: name,
      found: "another value",
      expected: "what the locks were made with: restart the process to change it",
    });
  }
}

/** Says which rules are new, and which are gone. */
export function changeOf(before: readonly Rule[], after: readonly Rule[]): RulesChange {
  const [old, fresh] = [before.map(textOf), after.map(textOf)];
  const added = missingIn(old, fresh);
  const removed = missingIn(fresh, old);
  const [gone, come] = [new Set(removed), new Set(added)];
  const keptBefore = old.filter((_, index) => !gone.has(index));
  const keptAfter = fresh.filter((_, index) => !come.has(index));
  const reordered = keptBefore.some((text, index) => text !== keptAfter[index]);
  return { rules: after.length, added, removed, reordered };
}

/** The places of those texts that the others have not, or not so often. */
function missingIn(others: readonly string[], texts: readonly string[]): number[] {
  const left = new Map<string, number>();
  for (const text of others) left.set(text, (left.get(text) ?? 0) + 1);
  return texts.flatMap((text, index) => {
    const count = left.get(text) ?? 0;
    left.set(text, count - 1);
    return count > 0 ? [] : [index];
  });
}

function textOf({ written, key, options }: Rule): string {
  return JSON.stringify([written, key, options]);
}
