import { expect, it } from "vitest";
import { LOCK_PRELUDE, lockOperations, lockScript } from "../../src/waiters/script.ts";
import { redisClient, useRedisNodes } from "../support/redis.ts";

const servers = useRedisNodes(1);

/** Compiles Lua on a real server, without running it. */
async function compile(lua: string): Promise<unknown> {
  return await redisClient(servers.urls[0]!).script("LOAD", lua);
}

it("compiles on a Redis server", async () => {
  await expect(compile(lockScript.source)).resolves.toMatch(/^[0-9a-f]{40}$/);
  await expect(compile(LOCK_PRELUDE)).resolves.toBeTypeOf("string");
});

it.each(lockOperations)("compiles the operation $name alone", async ({ lua }) => {
  const body = `local server, keys, argv = '', KEYS, ARGV\n${lua}`;
  await expect(compile(body)).resolves.toBeTypeOf("string");
});

it("calls only functions that are defined above", async () => {
  const known =
    "local names = {} for name in pairs(_G) do names[#names + 1] = name end return names";
  const builtIn = (await redisClient(servers.urls[0]!).eval(known, 0)) as string[];
  const keywords = ["and", "or", "not", "if", "elseif", "while", "return", "function", "in"];
  // Aliases and a callback of the fast path and of `pcall`.
  const defined = new Set([...builtIn, ...keywords]);
  const source = lockScript.source.replace(/--.*$/gm, "").replace(/'(?:\\.|[^'\\])*'/g, "''");
  const words = source.matchAll(
    /local function (\w+)|local ([\w, ]+?) = (?=[^\n]*(?:redis\.|string\.sub))|(?<![.:\w])(\w+)\s?\(/g,
  );
  const missing = new Set<string>();
  for (const [, name, aliases, called] of words) {
    if (name !== undefined) defined.add(name);
    for (const alias of aliases?.split(", ") ?? []) defined.add(alias);
    if (called !== undefined && !defined.has(called)) missing.add(called);
  }
  expect([...missing]).toEqual([]);
});
