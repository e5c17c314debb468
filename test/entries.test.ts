import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const SOURCES = new URL("../src/", import.meta.url);

/** The packages that a module loads, itself or by its imports; its files are added to `seen`. */
function packagesOf(module: URL, seen = new Set<string>()): Set<string> {
  const packages = new Set<string>();
  if (seen.has(module.href)) return packages;
  seen.add(module.href);
  const text = readFileSync(module, "utf8");
  for (const [, type, from = ""] of text.matchAll(
    /^(?:import|export)\s(type\s)?[^;]*?from "([^"]+)";/gms,
  )) {
    if (type !== undefined || from.startsWith("node:")) continue;
    if (from.startsWith(".")) {
      for (const name of packagesOf(new URL(from, module), seen)) packages.add(name);
    } else {
      packages.add(from);
    }
  }
  return packages;
}

test.each([
  { entry: "index.ts", packages: ["ioredis"] },
  { entry: "worker.ts", packages: ["bullmq", "ioredis"] },
  {
    entry: "nestjs/index.ts",
    packages: ["@nestjs/bullmq", "@nestjs/common", "@nestjs/core", "ioredis"],
  },
  { entry: "handle/index.ts", packages: ["ioredis"] },
  { entry: "dashboard/index.ts", packages: ["ioredis"] },
  { entry: "bull-board/index.ts", packages: ["@bull-board/api/bullMQAdapter", "ioredis"] },
  { entry: "testing/index.ts", packages: ["ioredis"] },
])("src/$entry loads $packages and nothing else", ({ entry, packages }) => {
  const found = packagesOf(new URL(entry, SOURCES));
  expect([...found].sort()).toEqual(packages);
});

test("src/index.ts loads ready() on demand, and the handle not at all", () => {
  const files = new Set<string>();
  packagesOf(new URL("index.ts", SOURCES), files);
  const loaded = Array.from(files, (file) => file.slice(SOURCES.href.length));
  expect(loaded.filter((file) => /^(ready|handle)\//.test(file))).toEqual(["ready/report.ts"]);
});
