import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { Redis } from "ioredis";

/**
 * How another program speaks the published algorithm to one master: its commands, its scripts, its form of value. Written
 * from the algorithm and the commands that the programs send.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/
 */
export interface Dialect {
  readonly name: string;
  readonly newValue: () => string;
  readonly take: ForAWhile;
  /** `undefined` where the program knows no extend. */
  readonly extend: ForAWhile | undefined;
  readonly release: (client: Redis, names: readonly string[], value: string) => Promise<boolean>;
}

/** True when the master did it for `ttl` ms. */
type ForAWhile = (
  client: Redis,
  names: readonly string[],
  value: string,
  ttl: number,
) => Promise<boolean>;

const COMPARE_AND_DELETE = `
if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end
return 0`;

/** Tells a key that is gone from one that is somebody else's. */
const COMPARE_AND_DELETE_OR_GONE = `
local value = redis.call("GET", KEYS[1])
if value == ARGV[1] then return redis.call("DEL", KEYS[1]) end
if value == false then return -1 end
return 0`;

const COMPARE_AND_EXPIRE = `
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) end
return 0`;

/** Takes the key again when it is gone. */
const COMPARE_AND_EXPIRE_OR_TAKE = `
if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("PEXPIRE", KEYS[1], ARGV[2]) end
if redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2], "NX") then return 1 end
return 0`;

const TAKE_ALL = `
for _, key in ipairs(KEYS) do if redis.call("exists", key) == 1 then return 0 end end
for _, key in ipairs(KEYS) do redis.call("set", key, ARGV[1], "PX", ARGV[2]) end
return #KEYS`;

const SET_ALL_AGAIN = `
for _, key in ipairs(KEYS) do if redis.call("get", key) ~= ARGV[1] then return 0 end end
for _, key in ipairs(KEYS) do redis.call("set", key, ARGV[1], "PX", ARGV[2]) end
return #KEYS`;

const DELETE_OWN = `
local deleted = 0
for _, key in ipairs(KEYS) do
  if redis.call("get", key) == ARGV[1] then deleted = deleted + redis.pcall("del", key) end
end
return deleted`;

export const redlockPy: Dialect = {
  name: "redlock-py",
  newValue: () => randomBytes(64).toString("base64").replaceAll(/[+/=]/g, "").slice(0, 22),
  take: async (client, [name = ""], value, ttl) =>
    (await client.set(name, value, "PX", ttl, "NX")) === "OK",
  extend: undefined,
  release: async (client, [name = ""], value) =>
    (await client.eval(COMPARE_AND_DELETE, 1, name, value)) === 1,
};

export const pythonRedlock: Dialect = {
  ...redlockPy,
  name: "Python's redlock",
  newValue: () => randomUUID().replaceAll("-", ""),
  // A script that was registered: by its digest, and in full to a server that does not know it.
  release: async (client, [name = ""], value) => {
    const digest = createHash("sha1").update(COMPARE_AND_DELETE).digest("hex");
    try {
      return (await client.evalsha(digest, 1, name, value)) === 1;
    } catch {
      await client.script("LOAD", COMPARE_AND_DELETE);
      return (await client.evalsha(digest, 1, name, value)) === 1;
    }
  },
};

export const redsync: Dialect = {
  name: "redsync",
  newValue: () => randomBytes(16).toString("base64"),
  take: redlockPy.take,
  extend: async (client, [name = ""], value, ttl) =>
    (await client.eval(COMPARE_AND_EXPIRE, 1, name, value, ttl)) === 1,
  // Gone already is as good as released.
  release: async (client, [name = ""], value) =>
    (await client.eval(COMPARE_AND_DELETE_OR_GONE, 1, name, value)) !== 0,
};

export const redsyncRetaking: Dialect = {
  ...redsync,
  name: "redsync with SetNXOnExtend",
  extend: async (client, [name = ""], value, ttl) =>
    (await client.eval(COMPARE_AND_EXPIRE_OR_TAKE, 1, name, value, ttl)) === 1,
};

export const nodeRedlock3: Dialect = {
  name: "node-redlock 3",
  newValue: () => randomBytes(16).toString("hex"),
  take: async (client, [name = ""], value, ttl) =>
    (await client.eval(
      'return redis.call("set", KEYS[1], ARGV[1], "NX", "PX", ARGV[2])',
      1,
      name,
      value,
      ttl,
    )) === "OK",
  extend: redsync.extend,
  release: redlockPy.release,
};

export const nodeRedlock4: Dialect = {
  name: "node-redlock 4",
  newValue: nodeRedlock3.newValue,
  take: async (client, names, value, ttl) =>
    (await client.eval(TAKE_ALL, names.length, ...names, value, ttl)) === names.length,
  extend: async (client, names, value, ttl) =>
    (await client.eval(SET_ALL_AGAIN, names.length, ...names, value, ttl)) === names.length,
  release: async (client, names, value) =>
    (await client.eval(DELETE_OWN, names.length, ...names, value)) === names.length,
};

export const DIALECTS: readonly Dialect[] = [
  redlockPy,
  pythonRedlock,
  redsync,
  redsyncRetaking,
  nodeRedlock3,
  nodeRedlock4,
];
