// Scripts whose letters are all assigned. The mapping of the rest grows from one Node version to the next, and two
// processes that lower differently lock different keys.
const UPPER = /[A-Z\u00C0-\u00DE\u0100-\u024F\u0370-\u052F\u0531-\u0556\u1E00-\u1FFF]/g;

/**
 * Writes Latin, Greek, Cyrillic and Armenian letters in lower case, whatever the locale of the process. A letter does not
 * depend on its neighbours: the final sigma is written as any other.
 */
export function lowerCase(text: string): string {
  return text.replace(UPPER, (letter) => letter.toLowerCase()).replaceAll("\u03C2", "\u03C3");
}
