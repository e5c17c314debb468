import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The files of the package, as npm would pack them from what is built. */
async function packed(): Promise<Set<string>> {
  const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
  const { stdout } = await promisify(execFile)("npm", args, { cwd: ROOT });
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  return new Set(files.map(({ path }) => path));
}

/** Where the links of a page lead, but for those to the web. */
function linksIn(page: string): string[] {
  const links = readFileSync(join(ROOT, page), "utf8").matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g);
  return Array.from(links, ([, target = ""]) => normalize(join(dirname(page), target)));
}

it("has every page that its pages lead to", async () => {
  const files = await packed();
  const pages = [...files].filter((path) => path.endsWith(".md"));
  expect(pages).toContain("docs/ready.md");
  const dead = pages.flatMap((page) =>
    linksIn(page)
      .filter((target) => !files.has(target))
      .map((target) => `${page} -> ${target}`),
  );
  expect(dead).toEqual([]);
});
