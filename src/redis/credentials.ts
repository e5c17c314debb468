import type { RedisOptions } from "ioredis";
import { describeKind } from "../errors.ts";
import { describeConnectionError } from "./node-error.ts";

/** A user name or a password, or a function that gives it at each connect, for example a token that expires. */
export type Credential = string | (() => string | Promise<string>);

type Credentials = Pick<RedisOptions, "username" | "password">;

/**
 * Calls those of the two credentials that are functions.
 * @throws {Error} that names the credential whose function failed, without a secret.
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
