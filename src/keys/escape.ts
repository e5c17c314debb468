// The template parser takes one of these, or one of `:` and the space, as a separator. None of
// them may be a character that an escape is made of: `%`, `u`, a hexadecimal digit.
const PUNCTUATION = /[!-$&-/;-@[-`{-~]/;

// Fixed ranges, because the classes of Unicode grow from one Node version to the next, and two
// processes that escape differently lock different keys. Controls and the space are in the first.
const ALWAYS = String.raw`\u0000-\u0020%:\u007F-\u009F\u{D800}-\u{DFFF}`;

const ALWAYS_SEPARATES = /[: ]/;

/**
 * Finds the character by which a literal keeps the values on its two sides apart.
 *
 * @returns `undefined` when there is none: `1` + `x` + `2x3` and `1x2` + `x` + `3` are one key.
 */
export function separatorOf(literal: string): string | undefined {
  return (ALWAYS_SEPARATES.exec(literal) ?? PUNCTUATION.exec(literal))?.[0];
}

/**
 * Makes the function that escapes the values of a template.
 *
 * It writes `%`, `:`, the space, controls, halves of surrogate pairs and the template's own
 * separators as `%3A` or, beyond ASCII, as `%uD83D`; all else stays readable. Different strings
 * stay different, and no result has a separator in it, so the key can be taken apart again.
 */
export function createEscape(separators: readonly string[]): (value: string) => string {
  const own = separators.map((separator) => separator.replace(/[\\\]^-]/, String.raw`\$&`));
  const special = new RegExp(`[${ALWAYS}${own.join("")}]`, "gu");
  return (value) => value.replace(special, escapeCharacter);
}

/** Escapes one UTF-16 code unit. */
export function escapeCharacter(character: string): string {
  const code = character.charCodeAt(0).toString(16).toUpperCase();
  return character < "\u0080" ? `%${code.padStart(2, "0")}` : `%u${code.padStart(4, "0")}`;
}
