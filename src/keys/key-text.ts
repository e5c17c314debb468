import { createHash } from "node:crypto";

// One of these, `:` or the space can be a separator. An escape must not contain any of them: it has `%`, `u` and hexadecimal
// digits.
const PUNCTUATION = /[!-$&-/;-@[-`{-~]/;

// Fixed ranges, because the classes of Unicode grow with each Node version, and two processes that escape differently lock
// different keys. Controls and the space are in the first range.
const ALWAYS = String.raw`\u0000-\u0020%:\u007F-\u009F\u{D800}-\u{DFFF}`;

const ALWAYS_SEPARATES = /[: ]/;

/**
 * Finds the character of a literal that separates the values before and after it.
 *
 * @returns `undefined` when there is none: `1` + `x` + `2x3` and `1x2` + `x` + `3` are the same key.
 */
export function separatorOf(literal: string): string | undefined {
  return (ALWAYS_SEPARATES.exec(literal) ?? PUNCTUATION.exec(literal))?.[0];
}

/**
 * Creates the function that escapes the values of a template.
 *
 * It escapes `%`, `:`, the space, controls, halves of surrogate pairs and the separators of the template, as `%3A` or, beyond
 * ASCII, as `%uD83D`. Different values stay different, and no result contains a separator, so that different values cannot
 * give the same key.
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

// Scripts of which all letters are assigned. The other mappings grow with each Node version, and two processes that map
// differently lock different keys.
const UPPER = /[A-Z\u00C0-\u00DE\u0100-\u024F\u0370-\u052F\u0531-\u0556\u1E00-\u1FFF]/g;

/**
 * Writes Latin, Greek, Cyrillic and Armenian letters in lower case, independent of the locale of the process. A letter does not
 * depend on its neighbours: the final sigma becomes the usual one.
 */
export function lowerCase(text: string): string {
  return text.replace(UPPER, (letter) => letter.toLowerCase()).replaceAll("\u03C2", "\u03C3");
}

/** The length up to which keys of templates and key functions are not shortened, in bytes of UTF-8. */
export const MAX_READABLE_BYTES = 512;

const PREFIX_BYTES = 128;
const SHORTENED = /%sha256:[0-9a-f]{64}$/;

/**
 * Shortens a key of more than {@link MAX_READABLE_BYTES} to its beginning, `%sha256:` and the hash of the whole key.
 *
 * Different keys stay different: a key that only looks shortened is shortened too, so that no short key equals a shortened one.
 */
export function shortenKey(key: string): string {
  if (Buffer.byteLength(key) <= MAX_READABLE_BYTES && !SHORTENED.test(key)) return key;
  const hash = createHash("sha256").update(key).digest("hex");
  return `${beginning(key)}%sha256:${hash}`;
}

function beginning(key: string): string {
  // `encodeInto` does not write a part of a character.
  const { read } = new TextEncoder().encodeInto(key, new Uint8Array(PREFIX_BYTES));
  return key.slice(0, read);
}
