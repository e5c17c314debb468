/** Combining marks and other characters without a width of their own. */
const NARROWEST = /[\p{Mark}\u200B-\u200D\u2060\uFEFF]/u;
/** East Asian characters and emoji, which take two columns in terminals and editors. */
const WIDE =
  /[\u1100-\u115F\u2E80-\u303E\u3041-\uA4CF\uA960-\uA97C\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{20000}-\u{3FFFD}]|\p{Emoji_Presentation}/u;

/** How many columns a text takes in a font of fixed width. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (NARROWEST.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}
