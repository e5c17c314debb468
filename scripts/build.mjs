// Compiles src to dist, unless dist is younger than everything it is made of.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));

const sources = [
  "tsconfig.json",
  "tsconfig.build.json",
  "package-lock.json",
  ...readdirSync("src", { recursive: true }).map((name) => join("src", String(name))),
];
const newest = Math.max(...sources.map((name) => statSync(name).mtimeMs));
const built = existsSync("dist/index.js") ? statSync("dist/index.js").mtimeMs : 0;
if (built < newest) {
  console.log("[setup] building (tsc)");
  rmSync("dist", { recursive: true, force: true });
  const tsc = join("node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], {
    stdio: "inherit",
  });
  if (status !== 0) {
    rmSync("dist", { recursive: true, force: true });
    process.exit(status ?? 1);
  }
}
