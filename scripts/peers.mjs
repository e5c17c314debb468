// Installs the libraries that ours is compared with, when they are missing or old. Node only.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const bench = join(dirname(fileURLToPath(import.meta.url)), "..", "bench");
const stamp = join(bench, "node_modules", ".bench-setup");
const wanted = createHash("sha256")
  .update(readFileSync(join(bench, "package-lock.json")))
  .digest("hex");
if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  // Not with the dependencies of the library: nobody but a comparison needs them.
  const { status, error } = spawnSync(
    "npm",
    ["ci", "--no-audit", "--no-fund", "--loglevel", "error"],
    { cwd: bench, stdio: "inherit", shell: process.platform === "win32" },
  );
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(status ?? 1);
  writeFileSync(stamp, wanted);
}
