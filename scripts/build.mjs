// Compiles src to dist, and once more as CommonJS to dist/cjs, unless dist is younger than everything it is made of.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));

const projects = ["tsconfig.build.json", "tsconfig.cjs.json"];
const sources = [
  "tsconfig.json",
  ...projects,
  "package-lock.json",
  join("scripts", "build.mjs"),
  ...readdirSync("src", { recursive: true }).map((name) => join("src", String(name))),
];
const newest = Math.max(...sources.map((name) => statSync(name).mtimeMs));
const last = join("dist", "cjs", "package.json");
const built = existsSync(last) ? statSync(last).mtimeMs : 0;
if (built < newest) {
  console.log("[setup] building (tsc)");
  const startedAt = new Date();
  rmSync("dist", { recursive: true, force: true });
  const tsc = join("node_modules", "typescript", "bin", "tsc");
  for (const project of projects) {
    const { status } = spawnSync(process.execPath, [tsc, "-p", project], { stdio: "inherit" });
    if (status !== 0) {
      rmSync("dist", { recursive: true, force: true });
      process.exit(status ?? 1);
    }
  }
  writeFileSync(last, '{ "type": "commonjs" }\n');
  // A source that changes during the build is newer.
  utimesSync(last, startedAt, startedAt);
}
