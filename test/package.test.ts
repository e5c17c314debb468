import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The files of the package, as npm would pack them from what is built. */
const files = await packed();

async function packed(): Promise<Set<string>> {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const { stdout } = await promisify(execFile)("npm", args, { cwd: ROOT });
  const [pack] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  return new Set(pack.files.map(({ path }) => path));
}

/** Where the links of a page lead, but for those to the web. */
function linksIn(page: string): string[] {
  const links = readFileSync(join(ROOT, page), "utf8").matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g);
  return Array.from(links, ([, target = ""]) => normalize(join(dirname(page), target)));
}

/** Whether a path is that of a picture: registries show those of the repository. */
function isPicture(path: string): boolean {
  return path.startsWith("docs/images/");
}

it("has every page that its pages lead to", () => {
  const pages = [...files].filter((path) => path.endsWith(".md"));
  expect(pages).toContain("docs/ready.md");
  expect([...files].filter(isPicture)).toEqual([]);
  const dead = pages.flatMap((page) =>
    linksIn(page)
      .filter((target) =>
        isPicture(target) ? !existsSync(join(ROOT, target)) : !files.has(target),
      )
      .map((target) => `${page} -> ${target}`),
  );
  expect(dead).toEqual([]);
});

/** The anchors that a page has, as GitHub makes them of its headings. */
function anchorsIn(page: string): string[] {
  const text = readFileSync(join(ROOT, page), "utf8").replaceAll(/^```[^]*?^```/gm, "");
  return Array.from(text.matchAll(/^#+ (.*)$/gm), ([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );
}

it("has every heading that its pages lead to", () => {
  const pages = [...files, "ARCHITECTURE.md", "CONTRIBUTING.md"].filter((path) =>
    path.endsWith(".md"),
  );
  const dead = pages.flatMap((page) => {
    const links = readFileSync(join(ROOT, page), "utf8").matchAll(/\]\(([^)#:]*)#([^)]*)\)/g);
    return Array.from(links, ([, path = "", anchor = ""]) => {
      const target = path === "" ? page : normalize(join(dirname(page), path));
      return anchorsIn(target).includes(anchor) ? [] : [`${page} -> ${target}#${anchor}`];
    }).flat();
  });
  expect(dead).toEqual([]);
});

const MANIFEST = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  exports: Record<
    string,
    string | Record<"import" | "require", { types: string; default: string }>
  >;
  repository: { url: string };
  homepage: string;
  bugs: { url: string };
  author: string;
};
const ENTRIES = [
  ".",
  "./worker",
  "./config",
  "./nestjs",
  "./handle",
  "./dashboard",
  "./bull-board",
  "./testing",
];

it.each(ENTRIES)(
  "has %s in CommonJS for what takes no ES modules, with the same names",
  async (entry) => {
    const target = MANIFEST.exports[entry];
    if (typeof target !== "object") throw new TypeError(`${entry} has no conditions`);
    const required = createRequire(import.meta.url)(join(ROOT, target.require.default)) as object;
    const imported = (await import(join("bullmq-redlock", entry))) as object;
    expect(Object.keys(required).sort()).toEqual(Object.keys(imported).sort());
    expect(Object.keys(required)).not.toEqual([]);
  },
);

it("gives a process one copy of everything, by import and by require", async () => {
  const program = `
    for (const name of ${JSON.stringify(ENTRIES.map((entry) => join("bullmq-redlock", entry)))}) {
      const required = require(name);
      import(name).then((imported) => {
        const others = Object.keys(imported).filter((key) => imported[key] !== required[key]);
        console.log(name, Object.keys(imported).length > 0 ? others : "nothing");
      });
    }`;
  const args = ["--input-type=commonjs", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT });
  expect(stdout.trim().split("\n").sort()).toEqual([
    "bullmq-redlock []",
    "bullmq-redlock/bull-board []",
    "bullmq-redlock/config []",
    "bullmq-redlock/dashboard []",
    "bullmq-redlock/handle []",
    "bullmq-redlock/nestjs []",
    "bullmq-redlock/testing []",
    "bullmq-redlock/worker []",
  ]);
});

it("has types that compile for ES2020, in both builds", async () => {
  const types = ENTRIES.flatMap((entry) => {
    const target = MANIFEST.exports[entry];
    if (typeof target !== "object") throw new TypeError(`${entry} has no conditions`);
    return [target.import.types, target.require.types];
  });
  const tsc = join("node_modules", "typescript", "bin", "tsc");
  const options = "--ignoreConfig --noEmit --strict --lib es2020 --module nodenext --types node";
  const args = [tsc, ...options.split(" "), "--skipLibCheck", "false", ...types];
  const printed = await promisify(execFile)(process.execPath, args, { cwd: ROOT }).catch(
    (error: { stdout: string }) => error,
  );
  expect(printed.stdout).toBe("");
}, 60_000);

it("names its origin, which makes the relative links of its pages work in a registry", () => {
  const { repository, homepage, bugs, author } = MANIFEST;
  const [, home = ""] = /^git\+(https:\/\/github\.com\/[^/]+\/bullmq-redlock)\.git$/.exec(
    repository.url,
  )!;
  expect([homepage, bugs.url]).toEqual([`${home}#readme`, `${home}/issues`]);
  expect(author).not.toBe("");
});

it("publishes nothing that only its own installation needs", () => {
  expect(MANIFEST).not.toHaveProperty("overrides");
  expect([...files].filter((path) => /^(?:test|src|scripts|\.)/.test(path))).toEqual([]);
  // The code is what the compiler leaves of the source, nearly line by line: maps would need the source beside it.
  expect([...files].filter((path) => path.endsWith(".map"))).toEqual([]);
});
