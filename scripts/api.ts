// Writes docs/api.md: every export of every entry with its signature, from the declarations in dist.
import { readFileSync, writeFileSync } from "node:fs";
import { format } from "oxfmt";

const ENTRIES = {
  "bullmq-redlock": "index",
  "bullmq-redlock/worker": "worker",
  "bullmq-redlock/config": "config/index",
  "bullmq-redlock/nestjs": "nestjs/index",
  "bullmq-redlock/handle": "handle/index",
  "bullmq-redlock/dashboard": "dashboard/index",
  "bullmq-redlock/bull-board": "bull-board/index",
  "bullmq-redlock/testing": "testing/index",
};

interface Export {
  readonly name: string;
  /** The file that declares it. */
  readonly file: URL;
  /** Whether it is there for the compiler alone. */
  readonly isType: boolean;
}

/** What an entry exports, by name. */
function exportsOf(entry: URL): Export[] {
  const text = readFileSync(entry, "utf8");
  const lists = text.matchAll(/^export (type )?\{([^}]*)\} from "([^"]+)";/gm);
  return Array.from(lists, ([, allTypes, names = "", from = ""]) => {
    const file = new URL(from.replace(/\.[jt]s$/, ".d.ts"), entry);
    return Array.from(names.matchAll(/(type )?(\w+)/g), ([, type, name = ""]) => {
      return { name, file, isType: (allTypes ?? type) !== undefined };
    });
  })
    .flat()
    .sort((a, b) => (a.name < b.name ? -1 : 1));
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

/** An export as its users see it, who have neither the constructor of a type nor the list that it is made of. */
function show({ name, file, isType }: Export): string {
  const declaration = declarationOf(name, file);
  if (!isType) return declaration;
  return declaration
    .replace(/\(typeof (\w+)\)\[number\]/, (_, list: string) => choicesOf(list, file))
    .replace(
      /^export declare (?:abstract )?class (.*?) implements /,
      "export interface $1 extends ",
    )
    .replace(/^export declare (?:abstract )?class /, "export interface ")
    .replaceAll(/^ *(?:constructor|protected )[^\n]*\n/gm, "");
}

function choicesOf(list: string, file: URL): string {
  const [, choices = ""] = /readonly \[(.*)\];$/.exec(declarationOf(list, file)) ?? [];
  return choices.split(", ").join(" | ");
}

const sections = Object.entries(ENTRIES).map(([entry, file]) => {
  const exports = exportsOf(new URL(`../dist/${file}.d.ts`, import.meta.url));
  const declarations = exports.map(show);
  return `## \`${entry}\`\n\n\`\`\`ts\n${declarations.join("\n\n")}\n\`\`\`\n`;
});
const page = `# Exports

Every export and its signature, written by \`npm run api\` from the declarations of the package; a change of the public
surface shows here. What is declared as a class or a function can be imported at run time, the rest are types. What each does and
throws stands beside it in the editor.

${sections.join("\n")}`;
const [, , file = "docs/api.md"] = process.argv;
writeFileSync(file, (await format("api.md", page, { printWidth: 100 })).code);
