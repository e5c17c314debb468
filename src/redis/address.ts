import type { RedisOptions } from "ioredis";
import { isIPv6 } from "node:net";
import { LockConfigError } from "../errors.ts";
import { describeKind } from "../sentences.ts";

/** The options that say where a master is. */
const PLACE = ["host", "port", "path", "db"] as const;
/** What ioredis puts into the options of every client, also beside a socket. */
const DEFAULTS: RedisOptions = { host: "localhost", port: 6379 };

/** What a text is that stands in the place of a host: the names of masters are shown, and it may hold a password. */
const NO_HOST: readonly (readonly [form: RegExp, found: string, expected: string])[] = [
  [/:\/\//, "a URL", "a URL is the option url"],
  [/@/, "a host with a user or a password", "those are options of their own"],
  [/\s/, "white space in a host", "no space around it"],
  [/\//, "a host with / in it", "the number of a database is the option db"],
  [/^(?:\[[^\]]*\]|[^:]*):\d+$/, "a host with a port", "the port is the option port"],
  [/^\[.*\]$/, "an address in brackets", "without brackets"],
  [/[:?#,\\[\]]/, "no host name", 'such as "lock-1" or "::1"'],
];
const NO_SOCKET = /:\/\/|^[^/]*@/;

/** Checks the host and the socket of a master. @throws {LockConfigError} that repeats nothing of them. */
export function checkAddress(path: string, { host, path: socket }: RedisOptions): void {
  if (socket !== undefined) {
    const expected = "the path of a Unix socket";
    if (typeof socket !== "string" || socket === "")
      throw new LockConfigError({ path: `${path}.path`, found: describeKind(socket), expected });
    if (NO_SOCKET.test(socket))
      throw new LockConfigError({
        path: `${path}.path`,
        found: "a URL",
        expected: `${expected}; a URL is the option url`,
      });
  }
  if (host === undefined) return;
  if (typeof host !== "string" || host === "") throw noHost(path, host);
  if (isIPv6(host)) return;
  const [, found, hint] = NO_HOST.find(([form]) => form.test(host)) ?? [];
  if (found === undefined) return;
  throw new LockConfigError({
    path: `${path}.host`,
    found,
    expected: `a host name or address alone; ${hint}`,
  });
}

/** Joins options with the parts of their URL. @throws {LockConfigError} when both say where the master is, differently. */
export function joinUrl(path: string, url: RedisOptions, options: RedisOptions): RedisOptions {
  for (const name of PLACE) {
    if (url[name] === undefined || options[name] === undefined) continue;
    if (isSame(url[name], options[name])) continue;
    const found = "another one than in url";
    throw new LockConfigError({ path: `${path}.${name}`, found, expected: "one of them" });
  }
  return { ...url, ...options };
}

/** Refuses a socket beside a host or a port: the socket would count. */
export function refuseTwoAddresses(path: string, options: RedisOptions): void {
  if (typeof options.path !== "string") return;
  for (const name of ["host", "port"] as const) {
    if (options[name] === undefined || options[name] === DEFAULTS[name]) continue;
    const found = `a socket beside a ${name}`;
    throw new LockConfigError({ path: `${path}.path`, found, expected: "one of them" });
  }
}

/** Refuses options that do not say where the master is: each machine would use a local one. */
export function requireAddress(path: string, node: object, options: RedisOptions): void {
  if (options.path !== undefined) return;
  if (Object.hasOwn(node, "host") && options.host === undefined) throw noHost(path, undefined);
  if (options.host !== undefined || options.port !== undefined) return;
  throw new LockConfigError({
    path,
    found: "an object that does not say where the master is",
    expected: "host, port, path or url",
  });
}

function noHost(path: string, host: unknown): LockConfigError {
  const expected = "a host name or address";
  return new LockConfigError({ path: `${path}.host`, found: describeKind(host), expected });
}

function isSame(a: unknown, b: unknown): boolean {
  return typeof a === "string" && typeof b === "string"
    ? a.toLowerCase() === b.toLowerCase()
    : a === b;
}
