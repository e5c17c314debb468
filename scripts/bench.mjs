// Runs the benchmark: installs its packages when they are missing or old, and builds it. Node only.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const bench = join(dirname(fileURLToPath(import.meta.url)), "..", "bench");
process.chdir(bench);

const stamp = join("node_modules", ".bench-setup");
const wanted = createHash("sha256").update(readFileSync("package-lock.json")).digest("hex");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  // Not with the dependencies of the library: nobody but the benchmark needs them.
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel", "error"]);
  writeFileSync(stamp, wanted);
}
rmSync("dist", { recursive: true, force: true });
run(process.execPath, [join("..", "node_modules", "typescript", "bin", "tsc"), "-p", "."]);
const [program, args] =
  process.argv[2] === "soak"
    ? ["soak.js", process.argv.slice(3)]
    : ["main.js", process.argv.slice(2)];
run(process.execPath, ["--expose-gc", join("dist", program), ...args]);

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    stdio: "inherit",
    shell: command === "npm" && process.platform === "win32",
  });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
