import { mkdir, readdir, stat, utimes, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { findRedisServer } from "../../src/testing/find-redis-server.ts";
import { startRedisNodes } from "../../src/testing/index.ts";
import type { RedisServer } from "../../src/testing/redis-server.ts";
import { redisClient } from "../support/redis.ts";
import { makeFolder, makePathWithoutServers, writeFakeServer, writeProgram } from "./folders.ts";
import { makePackageSource, type FakePackage } from "./package-source.ts";
import { runProgram } from "./run-program.ts";

/** As in Debian 12: the binary is in the tools. */
const REDIS: readonly FakePackage[] = [
  { name: "redis-server", depends: "redis-tools, bullmq-redlock-test-library" },
  { name: "redis-tools", server: { name: "redis-server" } },
  { name: "bullmq-redlock-test-library", server: { name: "proof-of-the-library" } },
];
const OLD_REDIS: readonly FakePackage[] = [
  { name: "redis-server", server: { name: "redis-server", version: "6.0.16" } },
  { name: "redis-tools" },
];
const VALKEY: readonly FakePackage[] = [
  {
    name: "valkey-server",
    server: { name: "valkey-server", version: "8.1.1", brand: "Valkey" },
  },
  { name: "valkey-tools" },
];

/** An installed package, as dpkg's status has it. */
function stanza(name: string, depends = ""): string {
  return (
    `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nVersion: 5:99\n` +
    `Maintainer: nobody <nobody@localhost>\n${depends}Description: an installed one`
  );
}

let cache: string;
let env: NodeJS.ProcessEnv;

const hasApt = await stat("/usr/bin/apt-get").then(
  () => true,
  () => false,
);

describe.skipIf(!hasApt)("without a server on this system", () => {
  beforeEach(async () => {
    cache = join(await makeFolder(), "the cache");
    env = { PATH: await makePathWithoutServers(), BULLMQ_REDLOCK_CACHE: cache };
  });

  test("the real packages of this system give a server that runs, once fetched", async () => {
    const lines: string[] = [];
    const options = { env, places: [], onProgress: (line: string) => lines.push(line) };
    const server = await findRedisServer(options);
    expect(server.source).toBe("debian-packages");
    expect(lines).toEqual(["fetching redis-server from the Debian packages, once (some 10 MB)"]);

    const offline = { ...env, BULLMQ_REDLOCK_INSTALL: "0" };
    const again = await findRedisServer({ ...options, env: offline });
    expect(again).toEqual({ ...server, source: "cache" });
    expect(lines).toHaveLength(1);

    await using nodes = await startRedisNodes(2, { server: again });
    expect(await redisClient(nodes.urls[1]!).set("a", "1")).toBe("OK");
  });

  test("a package is unpacked with all it needs, and the hooks of the system do not run", async () => {
    const source = await makePackageSource(REDIS);
    const server = await findRedisServer({ env: { ...env, ...source.env }, places: [] });
    expect(server).toMatchObject({ version: "7.2.4", source: "debian-packages" });
    expect(await readdir(join(server.path, ".."))).toContain("proof-of-the-library");
    expect(await readdir(source.folder)).not.toContain("hook-ran");
    expect(await readdir(cache)).toHaveLength(1);
  });

  test("what is fetched does not depend on what is installed, nor on what needs that", async () => {
    const installed = [
      stanza("redis", "Depends: redis-server (= 5:99),\n redis-tools (= 5:99)\n"),
      stanza("redis-server"),
      stanza("redis-tools", "Breaks: redis-server (<< 5:99)\n"),
    ];
    const source = await makePackageSource(REDIS, { installed });
    const server = await findRedisServer({ env: { ...env, ...source.env }, places: [] });
    expect(server).toMatchObject({ version: "7.2.4", source: "debian-packages" });
  });

  test("a relative cache folder is one of the working folder", async () => {
    const source = await makePackageSource(REDIS);
    const nearby = { ...env, ...source.env, BULLMQ_REDLOCK_CACHE: relative(process.cwd(), cache) };
    const { path } = await findRedisServer({ env: nearby, places: [] });
    expect(path.startsWith(`${cache}/`)).toBe(true);
  });

  test("a Redis that is too old is passed over for Valkey", async () => {
    const source = await makePackageSource([...OLD_REDIS, ...VALKEY]);
    const server = await findRedisServer({ env: { ...env, ...source.env }, places: [] });
    expect(server).toMatchObject({
      version: "8.1.1",
      path: expect.stringMatching(/valkey-server$/),
    });
  });

  test("a source without a signature is refused, whatever the system allows", async () => {
    const source = await makePackageSource(REDIS, { trusted: false });
    const finding = findRedisServer({ env: { ...env, ...source.env }, places: [] });
    await expect(finding).rejects.toThrow(
      /the Debian packages: apt-get update: E: .*does not have a Release file/,
    );
    expect(await readdir(cache)).toEqual([]);
  });

  test("a failure names every package and why it gave no server", async () => {
    const source = await makePackageSource(OLD_REDIS);
    const finding = findRedisServer({ env: { ...env, ...source.env }, places: [] });
    await expect(finding).rejects.toThrow(
      /redis-server: .* is version 6\.0\.16, older than 6\.2; valkey-server: .*Unable to locate/,
    );
  });

  test("a cache that cannot be written is a reason in the error", async () => {
    await writeFile(cache, "in the way");
    const finding = findRedisServer({ env, places: [] });
    await expect(finding).rejects.toThrow(
      /the Debian packages: cannot write \/.*\/the cache \(BULLMQ_REDLOCK_CACHE sets another\)/,
    );
  });

  describe("with a cache that holds garbage", () => {
    let source: { env: NodeJS.ProcessEnv };
    let shelf: string;

    beforeEach(async () => {
      source = await makePackageSource(REDIS);
      const { path } = await findRedisServer({ env: { ...env, ...source.env }, places: [] });
      const fetched = path.slice(0, path.indexOf("/usr/bin/"));
      shelf = join(fetched, "..");
      await writeProgram(path, "exit 1");
      await writeFile(join(shelf, "a-file"), "");
      await mkdir(join(shelf, "an-empty-folder"));
    });

    test("none of it is taken, and a new server is fetched beside it", async () => {
      const offline = { ...env, BULLMQ_REDLOCK_INSTALL: "0" };
      await expect(findRedisServer({ env: offline, places: [] })).rejects.toThrow(
        /earlier run .*--version failed/,
      );
      const server = await findRedisServer({ env: { ...env, ...source.env }, places: [] });
      expect(server.source).toBe("debian-packages");
      expect(await findRedisServer({ env: offline, places: [] })).toMatchObject({
        path: server.path,
        source: "cache",
      });
    });

    test("a half-unpacked server is not taken, and is cleared away after a day", async () => {
      const [fresh, abandoned] = [join(cache, "fetching-1"), join(cache, "fetching-2")];
      await writeFakeServer(join(fresh, "redis-server/usr/bin/redis-server"));
      await writeFakeServer(join(abandoned, "redis-server/usr/bin/redis-server"));
      const longAgo = new Date(Date.now() - 25 * 60 * 60 * 1000);
      await utimes(abandoned, longAgo, longAgo);
      const server = await findRedisServer({ env: { ...env, ...source.env }, places: [] });
      expect(server.source).toBe("debian-packages");
      expect((await readdir(cache)).filter((name) => name.startsWith("fetching-"))).toEqual([
        "fetching-1",
      ]);
    });
  });

  test("two processes with an empty cache both get a server and leave only whole ones", async () => {
    const source = await makePackageSource(REDIS);
    const how = { env: { ...env, ...source.env, BULLMQ_REDLOCK_REDIS_BIN: "" } };
    const both = await Promise.all([1, 2].map(() => runProgram("find-server", how)));
    const offline = { ...env, BULLMQ_REDLOCK_INSTALL: "0" };
    for (const program of both) {
      const { server } = (await program.next()) as { server: RedisServer };
      const named = { ...offline, BULLMQ_REDLOCK_REDIS_BIN: server.path };
      expect(await findRedisServer({ env: named })).toMatchObject({ version: "7.2.4" });
    }
    expect(await findRedisServer({ env: offline, places: [] })).toMatchObject({ source: "cache" });
    expect((await readdir(cache)).filter((name) => name.startsWith("fetching-"))).toEqual([]);
  });
});
