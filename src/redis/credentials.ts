import type { RedisOptions } from "ioredis";
import { describeConnectionError } from "./causes.ts";
import { describeKind } from "../sentences.ts";

/** A user name or a password, or what gives it at each connect: a token that expires, say. */
export type Credential = string | (() => string | Promise<string>);

type Credentials = Pick<RedisOptions, "username" | "password">;

/**
 * The user and the password of the time at which this is called.
 * @throws {Error} that names the one that cannot be had, and repeats no secret.
 */
export async function readCredentials(options: object): Promise<Credentials> {
  const given = options as { username?: unknown; password?: unknown };
  return {
    ...(await read("username", given.username)),
    ...(await read("password", given.password)),
  };
}

async function read(
  name: "username" | "password",
  given: unknown,
): Promise<Credentials | undefined> {
  if (typeof given !== "function") return undefined;
  let value: unknown;
  try {
    value = await Reflect.apply(given, undefined, []);
  } catch (error) {
    throw new Error(`${name}() failed: ${describeConnectionError(error)}`, { cause: error });
  }
  if (typeof value === "string") return { [name]: value };
  throw new Error(`${name}() gave ${describeKind(value)}, expected a string`);
}
