import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const ROOT = new URL("../../", import.meta.url);

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), "utf8");
}

it.each(["vitest.test.ts", "jest.test.cjs", "node.test.mjs", "real-servers.ts"])(
  "docs/testing.md shows examples/testing/%s word for word",
  (name) => {
    const path = `examples/testing/${name}`;
    const [, shown] = read("docs/testing.md")
      .split(`<!-- ${path} -->`)[1]!
      .split(/^```.*\n/m, 3);
    expect(shown ?? "", "the page").toBe(read(path));
  },
);

it("the example for node:test passes, and its process ends by itself", async () => {
  const args = ["--test", "examples/testing/node.test.mjs"];
  const { NODE_OPTIONS: _, NODE_TEST_CONTEXT: __, ...env } = process.env;
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, env });
  expect(stdout).toMatch(/^# pass 3\n# fail 0$/m);
});
