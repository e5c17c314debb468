import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { format } from "oxfmt";

const PAGE = fileURLToPath(new URL("../../docs/performance.md", import.meta.url));
const BEGIN = "<!-- figures: written by npm run bench -->";
const END = "<!-- figures end -->";

/** Puts the figures in their place in `docs/performance.md`; what people wrote around them stays. */
export async function writePage(lines: readonly string[]): Promise<void> {
  const text = readFileSync(PAGE, "utf8");
  const from = text.indexOf(BEGIN);
  const to = text.indexOf(END);
  if (from < 0 || to < from)
    throw new Error(`docs/performance.md has no "${BEGIN}" before "${END}"`);
  const before = text.slice(0, from + BEGIN.length);
  const page = `${before}\n\n${lines.join("\n")}\n\n${text.slice(to)}`;
  writeFileSync(PAGE, (await format(PAGE, page, { printWidth: 100 })).code);
}
