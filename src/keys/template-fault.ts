import { LockConfigError } from "../errors.ts";

/** A stretch of a template that is wrong, and what should stand there. */
export interface TemplateFault {
  /** The index in the template, from 0, in UTF-16 code units. */
  at: number;
  found: string;
  expected: string;
}

const CONTEXT = 40;
const UNPRINTABLE = /[\p{Control}\p{Surrogate}]/gu;

/** Makes the error for a faulty template, with the column and a caret under the place. */
export function templateError(
  template: string,
  { at, found, expected }: TemplateFault,
): LockConfigError {
  const before = Array.from(template.slice(0, at));
  const after = Array.from(template.slice(at));
  const left = before.length > CONTEXT ? `...${before.slice(-CONTEXT).join("")}` : before.join("");
  const right = after.length > CONTEXT ? `${after.slice(0, CONTEXT).join("")}...` : after.join("");
  const line = `${left}${right}`.replace(UNPRINTABLE, "\uFFFD");
  return new LockConfigError({
    path: "key",
    found: `${found} at column ${before.length + 1}`,
    expected: `${expected}\n  ${line}\n  ${" ".repeat(Array.from(left).length)}^`,
  });
}

/** Finds the name that a misspelt one most likely stands for: at most two letters wrong. */
export function nearestName(misspelt: string, names: readonly string[]): string | undefined {
  const [nearest] = names
    .map((name) => ({ name, distance: distance(misspelt.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.min(2, name.length - 1))
    .sort((a, b) => a.distance - b.distance);
  return nearest?.name;
}

/** The Levenshtein distance, one row at a time. */
function distance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 0; i < Math.min(from.length, 32); i++) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j++) {
      const substituted = (row[j] ?? 0) + (from[i] === to[j] ? 0 : 1);
      next.push(Math.min(substituted, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
