// Writes docs/api.md: every export of every entry with its signature, from the declarations in dist.
import { readFileSync, writeFileSync } from "node:fs";
import { format } from "prettier";

const ENTRIES = {
  "bullmq-redlock": "index",
  "bullmq-redlock/worker": "worker",
  "bullmq-redlock/config": "config/index",
  "bullmq-redlock/nestjs": "nestjs/index",
  "bullmq-redlock/testing": "testing/index",
};

/** The names that an entry exports, each with the file that declares it. */
function exportsOf(entry: URL): Map<string, URL> {
  const exports = new Map<string, URL>();
  const text = readFileSync(entry, "utf8");
  for (const [, names = "", from = ""] of text.matchAll(
    /^export (?:type )?\{([^}]*)\} from "([^"]+)";/gm,
  )) {
    const declared = new URL(from.replace(/\.[jt]s$/, ".d.ts"), entry);
    for (const name of names.split(",")) exports.set(name.replace(/\btype\b/, "").trim(), declared);
  }
  return exports;
}

/** A declaration, without comments and what is private. */
function declarationOf(name: string, file: URL): string {
  const text = readFileSync(file, "utf8").replaceAll(/^ *\/\*\*.*?\*\/\n/gms, "");
  const begin = new RegExp(
    `^export (?:declare )?(?:abstract )?(?:class|interface|function|type|const) ${name}\\b`,
    "m",
  ).exec(text);
  if (begin === null) throw new Error(`${file.pathname} declares no ${name}`);
  const rest = text.slice(begin.index);
  // The compiler indents everything but the first and the last line of a declaration.
  const [whole] = /^[^\n]*;\n|^[^\n]*\n(?:[ |"][^\n]*\n)*(?:\}[^\n]*\n)?/.exec(rest) ?? [""];
  return whole.replaceAll(/^ *(?:#private;|private [^\n]*)\n/gm, "").trim();
}

/** A declaration, after the list of choices that it is made of. */
function withChoices(declaration: string, file: URL): string[] {
  const [, list] = /\(typeof (\w+)\)\[number\]/.exec(declaration) ?? [];
  return list === undefined ? [declaration] : [declarationOf(list, file), declaration];
}

const sections = Object.entries(ENTRIES).map(([entry, file]) => {
  const exports = exportsOf(new URL(`../dist/${file}.d.ts`, import.meta.url));
  const declarations = [...exports]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, declared]) => withChoices(declarationOf(name, declared), declared));
  return `## \`${entry}\`\n\n\`\`\`ts\n${declarations.join("\n\n")}\n\`\`\`\n`;
});
const page = `# Exports

Every export and its signature, written by \`npm run api\` from the declarations of the package; a change of the public
surface shows here. What each does and throws stands beside it in the editor.

${sections.join("\n")}`;
const [, , file = "docs/api.md"] = process.argv;
writeFileSync(file, await format(page, { parser: "markdown", printWidth: 100 }));
