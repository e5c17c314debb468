import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { startRedisNodes, type RedisNodesOptions } from "../../src/testing/index.ts";
import * as freePort from "../../src/testing/free-port.ts";
import { redisClient, redisClients, useRedisNodes } from "../support/redis.ts";
import { makeFolder, writeProgram } from "./folders.ts";
import { isListening } from "./run-program.ts";

vi.mock("../../src/testing/free-port.ts", { spy: true });

const IMPATIENT = { commandTimeout: 100, retryStrategy: () => null };

describe("three nodes", () => {
  const nodes = useRedisNodes(3);

  test("are independent: what one stores the others do not", async () => {
    const clients = redisClients(nodes);
    await clients[0]!.set("a", "1");
    const stored = await Promise.all(clients.map(async (client) => await client.get("a")));
    expect(stored).toEqual(["1", null, null]);
  });

  test("are empty before each test", async () => {
    const sizes = redisClients(nodes).map(async (client) => await client.dbsize());
    expect(await Promise.all(sizes)).toEqual([0, 0, 0]);
  });

  test("refuse to evict and write nothing to disk", async () => {
    const client = redisClient(nodes.urls[0]!);
    expect(await client.config("GET", "maxmemory-policy")).toContain("noeviction");
    expect(await client.config("GET", "save")).toEqual(["save", ""]);
    expect(await client.config("GET", "appendonly")).toContain("no");
  });

  test("a paused node keeps its connections and answers nothing until it is resumed", async () => {
    const client = redisClient(nodes.urls[0]!, IMPATIENT);
    await client.set("a", "1");
    nodes.pause(0);
    await expect(client.get("a")).rejects.toThrow("Command timed out");
    expect(client.status).toBe("ready");
    nodes.resume(0);
    expect(await client.get("a")).toBe("1");
    expect(nodes.isRunning(0)).toBe(true);
  });

  test("a killed node is gone when kill() resolves, paused or not, and the others stay", async () => {
    nodes.pause(1);
    await Promise.all([nodes.kill(0), nodes.kill(1)]);
    expect(await Promise.all(nodes.ports.map(isListening))).toEqual([false, false, true]);
    expect(nodes.ports.map((_, index) => nodes.isRunning(index))).toEqual([false, false, true]);
    await nodes.kill(0);
  });

  test("a restarted node has a new process, the same port and no data", async () => {
    const [pid, port] = [nodes.pids[0], nodes.ports[0]];
    await redisClient(nodes.urls[0]!).set("a", "1");
    await nodes.restart(0);
    expect(nodes.pids[0]).not.toBe(pid);
    expect(nodes.ports[0]).toBe(port);
    expect(await redisClient(nodes.urls[0]!).get("a")).toBeNull();
  });

  test("a node without persistence says which option would keep its data", async () => {
    await expect(nodes.restart(0, { empty: false })).rejects.toThrow(
      'node 0 cannot keep its data: restart with empty: false needs persistence: "always"',
    );
    expect(nodes.isRunning(0)).toBe(true);
  });

  test("a node that is down can be neither paused nor resumed", async () => {
    await nodes.kill(2);
    expect(() => nodes.pause(2)).toThrow("is not running and cannot be paused");
    expect(() => nodes.resume(2)).toThrow("is not running and cannot be resumed");
  });

  test("there is no fourth", () => {
    expect(() => nodes.pause(3)).toThrow("no node 3: there are 3, counted from 0");
  });
});

describe("nodes with persistence", () => {
  const nodes = useRedisNodes(1, { persistence: "always" });

  test("keep every answered write over a kill and a restart", async () => {
    await redisClient(nodes.urls[0]!).set("a", "1");
    await nodes.kill(0);
    await nodes.restart(0);
    expect(await redisClient(nodes.urls[0]!).get("a")).toBe("1");
    await nodes.restart(0, { empty: false });
    expect(await redisClient(nodes.urls[0]!).get("a")).toBe("1");
  });

  test("lose it all when restarted empty", async () => {
    await redisClient(nodes.urls[0]!).set("a", "1");
    await nodes.restart(0, { empty: true });
    expect(await redisClient(nodes.urls[0]!).get("a")).toBeNull();
  });
});

describe("a start", () => {
  test("passes more arguments, which win over its own", async () => {
    await using nodes = await startRedisNodes(1, {
      args: ["--maxmemory-policy", "allkeys-lru", "--requirepass", "secret"],
    });
    await expect(redisClient(nodes.urls[0]!, IMPATIENT).get("a")).rejects.toThrow("NOAUTH");
    const client = redisClient(nodes.urls[0]!, { password: "secret" });
    expect(await client.config("GET", "maxmemory-policy")).toContain("allkeys-lru");
  });

  test("fails with the server's own words when a server does not come up", async () => {
    const tmp = await useTemporaryFolder();
    await expect(startRedisNodes(2, { args: ["--no-such-option", "1"] })).rejects.toMatchObject({
      code: "ERR_REDLOCK_SERVER_START",
      message: expect.stringMatching(/ended at once; it printed:[^]*no-such-option/),
    });
    expect(await readdir(tmp)).toEqual([]);
  });

  test("fails in time when a server never answers, and ends it", async () => {
    const folder = await makeFolder();
    const script = `echo thinking; echo $$ >${folder}/pid; exec sleep 60`;
    const path = await writeProgram(join(folder, "mute-server"), script);
    const server = { path, version: "7.0.0", source: "environment", env: {} } as const;
    await expect(startRedisNodes(1, { server, startTimeout: 300 })).rejects.toThrow(
      /did not answer within 300 ms; it printed:\nthinking/,
    );
    const pid = Number(await readFile(join(folder, "pid"), "utf8"));
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  test("takes another port than one in use, and never takes a foreign server for its own", async () => {
    await using stranger = await startRedisNodes(1);
    vi.mocked(freePort.pickFreePort).mockResolvedValueOnce(stranger.ports[0]!);
    await using nodes = await startRedisNodes(1);
    expect(nodes.ports[0]).not.toBe(stranger.ports[0]);
    const info = await redisClient(nodes.urls[0]!).info("server");
    expect(info).toContain(`process_id:${nodes.pids[0]}\r\n`);
  });

  test.each([
    [0, {}, "count: found 0, expected a number of servers from 1 to 999"],
    [1.5, {}, "count: found 1.5"],
    ["3", {}, 'count: found "3"'],
    [1, null, "options: found null, expected an object of options"],
    [1, { persistance: "always" }, 'persistance: found an unknown option, expected "persistence"?'],
    [1, { nothing: 1 }, "expected one of persistence, args, startTimeout, onProgress"],
    [1, { persistence: "often" }, 'persistence: found "often", expected one of "none", "always"'],
    [1, { startTimeout: -1 }, "startTimeout: found -1, expected whole milliseconds from 1"],
    [1, { args: "x" }, 'args: found "x", expected a list of texts'],
  ])("refuses %s nodes with %j", async (count, options, message) => {
    const starting = startRedisNodes(count as number, options as RedisNodesOptions);
    await expect(starting).rejects.toThrow(message);
  });
});

describe("stop()", () => {
  test("leaves no server, paused or not, and no folder, and may be called again", async () => {
    const tmp = await useTemporaryFolder();
    const nodes = await startRedisNodes(3);
    nodes.pause(0);
    await nodes.kill(1);
    expect(await readdir(tmp)).toHaveLength(1);
    await Promise.all([nodes.stop(), nodes.stop()]);
    await nodes.stop();
    expect(await Promise.all(nodes.ports.map(isListening))).toEqual([false, false, false]);
    expect(await readdir(tmp)).toEqual([]);
  });

  test("ends a node that is just restarting, and none comes back after it", async () => {
    const nodes = await startRedisNodes(1);
    const restarting = nodes.restart(0);
    await nodes.stop();
    await restarting;
    expect(nodes.isRunning(0)).toBe(false);
    await expect(nodes.restart(0)).rejects.toThrow("the nodes were stopped");
  });

  test("happens at the end of an await using block", async () => {
    let ports: readonly number[];
    {
      await using nodes = await startRedisNodes(1);
      ports = nodes.ports;
      expect(await isListening(ports[0]!)).toBe(true);
    }
    expect(await isListening(ports[0]!)).toBe(false);
  });
});

/** Lets os.tmpdir() name an empty folder while the running test runs. */
async function useTemporaryFolder(): Promise<string> {
  const tmp = await makeFolder();
  vi.stubEnv("TMPDIR", tmp);
  onTestFinished(() => void vi.unstubAllEnvs());
  return tmp;
}
