/**
 * A text that others have written, in one line and without what would steer a terminal: each such character becomes U+FFFD.
 * Keys and job ids are made of what users of the application have written, and messages with them end up in logs.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Control}\p{Surrogate}\p{Bidi_Control}\u2028\u2029]/gu, "\uFFFD");
}
