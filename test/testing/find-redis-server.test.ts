import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { findRedisServer } from "../../src/testing/find-redis-server.ts";
import { NoRedisServerError } from "../../src/testing/index.ts";
import { makeFolder, writeFakeServer } from "./folders.ts";

let folder: string;
let env: NodeJS.ProcessEnv;

beforeEach(async () => {
  folder = await makeFolder();
  env = {
    PATH: join(folder, "bin"),
    BULLMQ_REDLOCK_CACHE: join(folder, "cache"),
    BULLMQ_REDLOCK_INSTALL: "0",
  };
});

describe("BULLMQ_REDLOCK_REDIS_BIN", () => {
  test("comes before everything else", async () => {
    await writeFakeServer(join(folder, "bin/redis-server"));
    const path = await writeFakeServer(join(folder, "mine"), { version: "8.0.1", brand: "Valkey" });
    const found = await findRedisServer({ env: { ...env, BULLMQ_REDLOCK_REDIS_BIN: path } });
    expect(found).toEqual({ path, version: "8.0.1", source: "environment", env: {} });
  });

  test("may be a name on PATH", async () => {
    const path = await writeFakeServer(join(folder, "bin/my-redis"));
    const found = await findRedisServer({ env: { ...env, BULLMQ_REDLOCK_REDIS_BIN: "my-redis" } });
    expect(found).toMatchObject({ path, source: "environment" });
  });

  test.each([
    ["not there", "/no/such/server", "ENOENT"],
    ["no server", "/bin/echo", 'is not a Redis or Valkey server: its --version prints "'],
    ["failing", "/bin/false", "/bin/false --version failed"],
  ])("is never skipped when it is %s", async (_, path, reason) => {
    await writeFakeServer(join(folder, "bin/redis-server"));
    const finding = findRedisServer({ env: { ...env, BULLMQ_REDLOCK_REDIS_BIN: path } });
    await expect(finding).rejects.toMatchObject({
      code: "ERR_REDLOCK_NO_SERVER",
      message: expect.stringContaining(`BULLMQ_REDLOCK_REDIS_BIN=${path}: `),
      attempts: [{ reason: expect.stringContaining(reason) }],
    });
  });
});

describe("installed servers", () => {
  test("are taken from PATH, Redis before Valkey", async () => {
    await writeFakeServer(join(folder, "bin/valkey-server"), { brand: "Valkey", version: "8.1.0" });
    const path = await writeFakeServer(join(folder, "bin/redis-server"));
    const found = await findRedisServer({ env, places: [] });
    expect(found).toEqual({ path, version: "7.2.4", source: "path", env: {} });
  });

  test("older than 6.2 are passed over", async () => {
    await writeFakeServer(join(folder, "bin/redis-server"), { version: "6.0.16" });
    const path = await writeFakeServer(join(folder, "bin/valkey-server"), { brand: "Valkey" });
    expect(await findRedisServer({ env, places: [] })).toMatchObject({ path });
  });

  test("are taken from the usual places when PATH has none", async () => {
    const path = await writeFakeServer(join(folder, "usual/redis-server"), { version: "6.2.0" });
    const found = await findRedisServer({ env, places: [join(folder, "usual")] });
    expect(found).toEqual({ path, version: "6.2.0", source: "usual-place", env: {} });
  });

  test("that are folders, or may not be run, are passed over", async () => {
    await mkdir(join(folder, "bin/redis-server"), { recursive: true });
    await writeFile(join(folder, "bin/valkey-server"), "", { mode: 0o644 });
    await expect(findRedisServer({ env, places: [] })).rejects.toThrow(NoRedisServerError);
  });
});

test("where nothing works, the error lists every step, why it failed, and what to do", async () => {
  await writeFakeServer(join(folder, "bin/redis-server"), { version: "5.0.7" });
  const error: unknown = await findRedisServer({ env, places: ["/no/such/place"] }).catch(
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(NoRedisServerError);
  const { code, message, attempts, remedy } = error as NoRedisServerError;
  expect(code).toBe("ERR_REDLOCK_NO_SERVER");
  expect(attempts.map(({ step }) => step)).toEqual([
    "PATH",
    "the usual places",
    "the cache of an earlier run (BULLMQ_REDLOCK_CACHE)",
    "the Debian packages",
  ]);
  expect(message.split("\n").map((line) => line.replaceAll(folder, "~"))).toEqual([
    "no redis-server or valkey-server (6.2 or later) found:",
    "  - PATH: ~/bin/redis-server is version 5.0.7, older than 6.2",
    "  - the usual places: no redis-server or valkey-server in /no/such/place",
    expect.stringContaining("nothing in ~/cache/"),
    "  - the Debian packages: switched off by BULLMQ_REDLOCK_INSTALL=0",
    `To get one: ${remedy}`,
  ]);
  expect(remedy).toContain("or set BULLMQ_REDLOCK_REDIS_BIN to the path of a server");
});
