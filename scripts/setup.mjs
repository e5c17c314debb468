// Makes a fresh clone ready to run: dependencies when they are missing or old, and the build. Node only.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
process.chdir(root);

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`bullmq-redlock needs Node 20.19 or later, this is ${process.version}`);
  process.exit(1);
}

const stamp = "node_modules/.bullmq-redlock-setup";
const wanted = createHash("sha256")
  .update(readFileSync("package-lock.json"))
  .update(process.version)
  .digest("hex");
if (readIfThere(stamp) !== wanted) {
  say("installing the dependencies, once (npm ci)");
  // The shell finds npm as the user's own shell would, on every system.
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel", "error"]);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, wanted);
}
run(process.execPath, [join("scripts", "build.mjs")]);

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    stdio: "inherit",
    shell: command === "npm" && process.platform === "win32",
  });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function say(line) {
  console.log(`[setup] ${line}`);
}
