/** A table of the page: a row for each version of one thing, a column for each of another. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly name: string; readonly cells: readonly string[] }[];
}

/** What the whole matrix found. */
export interface Results {
  readonly types: Table;
  readonly scenario: Table;
  readonly jest: Table;
  readonly modes: readonly string[];
}

/** Writes docs/compatibility.md. */
export function writePage({ types, scenario, jest, modes }: Results): string {
  return `# Compatibility

Written by \`npm run matrix\`, which packs the package, installs it into empty folders with the versions below, and tries it
there as a user would. Versions between those in the tables are supported too: BullMQ from 5.72.1, ioredis from 5.11, Node
from 20.19, TypeScript from 5.4.

## Types

What users write: \`withLock\`, \`LockedWorker\`, rules, and mistakes that the compiler must refuse; for the ES modules and
the CommonJS build with \`skipLibCheck: false\`. A cell says how many of these ways to compile are right, of those that the version of TypeScript has:
${modes.map((mode) => `\`${mode}\``).join("; ")}.

${writeTable(types)}

## Running

Two workers with hot keys while one of three masters is killed, each policy for conflicts, a job that is cancelled, a
processor in a file (in a child process and in a thread), \`ready()\`, and one copy of \`Redlock\` by \`import\` and
\`require\`: as an ES module and as CommonJS.

${writeTable(scenario)}

## Jest

Jobs, errors and all entries under Jest with its default configuration, and under ts-jest with \`module: commonjs\` and
\`moduleResolution: node\`.

${writeTable(jest)}

## ES modules and CommonJS

The package has both, compiled from the same source. Node takes the ES modules for \`import\` and for \`require\` alike (the
condition \`module-sync\`), so that a process has one copy of \`Redlock\` and of the classes of errors. The CommonJS build is for
what cannot load ES modules: Jest, and TypeScript with \`moduleResolution: node\`. A bundler that follows both \`import\` and
\`require\` may take both builds into one bundle; a \`Redlock\` of the other copy is refused at construction. Tell errors
apart by their \`code\` there.
`;
}

function writeTable({ columns, rows }: Table): string {
  return [
    ["", ...columns],
    ["-", ...columns.map(() => "-")],
    ...rows.map(({ name, cells }) => [name, ...cells]),
  ]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}
