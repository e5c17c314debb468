import { readFileSync, writeFileSync } from "node:fs";

/** Puts lines between the marks that stand for them on a page, and names the command that wrote them there. */
export function putLines(
  page: URL,
  { name, command, lines }: { name: string; command: string; lines: readonly string[] },
): void {
  const text = readFileSync(page, "utf8");
  const [begin, end] = [`<!-- ${name}: written by ${command} -->`, `<!-- ${name} ends -->`];
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`${page.pathname} has no place for "${name}"`);
  writeFileSync(
    page,
    `${text.slice(0, from + begin.length)}\n\n${lines.join("\n")}\n\n${text.slice(to)}`,
  );
}
