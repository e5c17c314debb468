import { readFileSync, writeFileSync } from "node:fs";

const PAGE = new URL("../../docs/performance.md", import.meta.url);
const BEGIN = "<!-- figures: written by npm run bench -->";
const END = "<!-- figures end -->";

/** Puts the figures in their place in `docs/performance.md`; what people wrote around them stays. */
export function writePage(lines: readonly string[]): void {
  const text = readFileSync(PAGE, "utf8");
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END);
  if (from < 0 || to < from) throw new Error('docs/performance.md has no place for "figures"');
  const before = text.slice(0, from + BEGIN.length);
  writeFileSync(PAGE, `${before}\n\n${lines.join("\n")}\n\n${text.slice(to)}`);
}
