// Runs the benchmark: installs its packages when they are missing or old, and builds it. Node only.
import { spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import "./peers.mjs";

const bench = join(dirname(fileURLToPath(import.meta.url)), "..", "bench");
process.chdir(bench);

rmSync("dist", { recursive: true, force: true });
run(process.execPath, [join("..", "node_modules", "typescript", "bin", "tsc"), "-p", "."]);
const [program, args] =
  process.argv[2] === "soak"
    ? ["soak.js", process.argv.slice(3)]
    : ["main.js", process.argv.slice(2)];
run(process.execPath, ["--expose-gc", join("dist", program), ...args]);

function run(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}
