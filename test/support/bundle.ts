import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildSync } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bundled = new Map<string, string>();

/** Makes one file of a program, once in this process: it starts in a third of the time that its sources take. */
export function bundle(program: string): string {
  const known = bundled.get(program);
  if (known !== undefined) return known;
  const cache = join(root, "node_modules/.cache");
  mkdirSync(cache, { recursive: true });
  // Where it finds its dependencies.
  const folder = mkdtempSync(join(cache, "program-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const outfile = join(folder, basename(program).replace(/\.ts$/, ".mjs"));
  buildSync({
    entryPoints: [program],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
  });
  bundled.set(program, outfile);
  return outfile;
}
