import { mkdirSync, mkdtempSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";

const cache = fileURLToPath(new URL("../../node_modules/.cache", import.meta.url));

/**
 * Makes one file of a program, which starts in a third of the time that its sources take.
 * @returns its path, in a folder of its own that the caller removes.
 */
export async function bundle(program: string, plugins: Plugin[] = []): Promise<string> {
  mkdirSync(cache, { recursive: true });
  // Where it finds its dependencies.
  const folder = mkdtempSync(join(cache, "program-"));
  const outfile = join(folder, basename(program).replace(/\.ts$/, ".mjs"));
  await build({
    entryPoints: [program],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    plugins,
  });
  return outfile;
}
