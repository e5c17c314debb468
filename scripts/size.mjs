// Says how large the package is: the tarball, and each entry in a bundle without its peers, minified and compressed.
import { build } from "esbuild";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
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
  const { outputFiles, metafile } = await build({
    entryPoints: [target.import.default],
    bundle: true,
    minify: true,
    write: false,
    splitting: true,
    outdir: "bundle",
    metafile: true,
    platform: "node",
    format: "esm",
    target: "node20",
    external: Object.keys(manifest.peerDependencies),
    logLevel: "error",
  });
  const loaded = new Set();
  const load = (path) => {
    if (loaded.has(path) || metafile.outputs[path] === undefined) return;
    loaded.add(path);
    // What is imported on demand is another file.
    const imports = metafile.outputs[path].imports.filter(
      ({ kind }) => kind === "import-statement",
    );
    for (const each of imports) load(each.path);
  };
  load(Object.keys(metafile.outputs).find((path) => metafile.outputs[path].entryPoint));
  const files = outputFiles.filter(({ path }) => loaded.has(relative(process.cwd(), path)));
  const sum = (sizeOf) =>
    kilobytes(files.reduce((total, file) => total + sizeOf(file.contents), 0));
  const name = join(manifest.name, entry);
  const compressed = sum((code) => gzipSync(code).length).trim();
  console.log(`${sum((code) => code.length)}  ${name} in a bundle, ${compressed} compressed`);
}
