/**
 * Returns what tests texts against a glob pattern of Redis: `*`, `?`, `[ab]`, `[^ab]`, and a backslash that escapes the next
 * character. As in Redis, a character is a byte.
 */
export function globOf(pattern: string): (text: string) => boolean {
  const parts = bytesOf(pattern).matchAll(/\\([^])|\[(\^?)([^\]]*)\]|([^])/g);
  const source = Array.from(parts, ([, literal, not, set, other = ""]) => {
    if (set !== undefined) return `[${not}${set.replaceAll("\\", "\\\\")}]`;
    if (literal === undefined && other === "*") return "[^]*";
    if (literal === undefined && other === "?") return "[^]";
    return (literal ?? other).replace(/[\\^$.*+?()[\]{}|/]/, "\\$&");
  });
  const glob = new RegExp(`^${source.join("")}$`);
  return (text) => glob.test(bytesOf(text));
}

/** One character for each byte. */
function bytesOf(text: string): string {
  return Buffer.from(text).toString("latin1");
}
