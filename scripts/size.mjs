// Says how large the package is: the tarball, and each entry in a bundle without its peers, minified and compressed.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

process.chdir(join(dirname(fileURLToPath(import.meta.url)), ".."));

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
const [pack] = JSON.parse(execFileSync("npm", args, { encoding: "utf8" }));
const kilobytes = (bytes) => `${(bytes / 1024).toFixed(1)} KiB`.padStart(11);

console.log(
  `${kilobytes(pack.size)}  tarball: ${pack.entryCount} files, unpacked ${kilobytes(pack.unpackedSize).trim()}`,
);
for (const [entry, target] of Object.entries(manifest.exports)) {
  if (typeof target === "string") continue;
  const { outputFiles } = await build({
    entryPoints: [target.import.default],
    bundle: true,
    minify: true,
    write: false,
    platform: "node",
    format: "esm",
    target: "node20",
    external: Object.keys(manifest.peerDependencies),
    logLevel: "error",
  });
  const code = outputFiles[0].contents;
  const name = join(manifest.name, entry);
  console.log(
    `${kilobytes(code.length)}  ${name} in a bundle, ${kilobytes(gzipSync(code).length).trim()} compressed`,
  );
}
