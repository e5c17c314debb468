/**
 * Makes a foreign text safe for logs: each line break and each character that controls a terminal becomes U+FFFD. Keys and
 * job ids contain what users of the application wrote.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Control}\p{Surrogate}\p{Bidi_Control}\u2028\u2029]/gu, "\uFFFD");
}

/** As {@link printable}, but keeps the line ends, for a text that this library has laid out. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}
