import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** The packages that a module of ours loads, itself or by what it imports. */
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
  { entry: "testing/index.ts", packages: ["ioredis"] },
])("src/$entry loads $packages and nothing else", ({ entry, packages }) => {
  const found = packagesOf(new URL(`../src/${entry}`, import.meta.url));
  expect([...found].sort()).toEqual(packages);
});
