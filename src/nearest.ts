/** How many characters are compared: no known name is longer, and the given word may be a whole text. */
const LONGEST = 64;

/** The name nearest to `word`; `undefined` when no name is near enough to be meant. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  const written = word.toLowerCase().slice(0, LONGEST);
  for (const each of names) {
    const name = each.toLowerCase();
    const distance = editDistance(written, name);
    // A larger share of wrong letters makes another word, not a slip; a longer name may contain the right one.
    const isContained = name.length > 2 && (written.startsWith(name) || written.endsWith(name));
    const tolerable = isContained ? name.length - 1 : Math.max(1, Math.floor(name.length / 3));
    if (distance < name.length && distance <= tolerable && distance < bestDistance) {
      [best, bestDistance] = [each, distance];
    }
  }
  return best;
}

/** Counts the letters to insert, drop, replace, or swap with their neighbour. */
function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = (rows[i] = [i]);
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swaps = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = swaps ? at(i - 2, j - 2) + 1 : Infinity;
      row[j] = Math.min(replaced, swapped, at(i - 1, j) + 1, (row[j - 1] ?? Infinity) + 1);
    }
  }
  return at(a.length, b.length);
}
