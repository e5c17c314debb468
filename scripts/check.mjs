// All checks that run no tests, two at a time on two cores. What a check prints comes in one piece, when it has ended.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));

const LANES = 2;
/** The longest first. Two of them need the build, which must not be made twice at the same time. */
const checks = ["types", "package", "lint", "format:check", "dead-code"];

const [build] = await run(process.execPath, ["scripts/build.mjs"]);
if (build !== 0) process.exit(1);
const waiting = [...checks];
await Promise.all(Array.from({ length: LANES }, work));

async function work() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const start = performance.now();
    const [code, output] = await run("npm", ["run", "--silent", name]);
    const seconds = Math.round((performance.now() - start) / 1000);
    process.stdout.write(`${code === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s)\n${output}`);
    if (code !== 0) process.exitCode = 1;
  }
}

async function run(command, args) {
  // The shell finds npm as the user's own shell would, on every system.
  const shell = command === "npm" && process.platform === "win32";
  const child = spawn(command, args, { shell, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => (output += text));
  const [code] = await once(child, "close");
  return [code, output];
}
