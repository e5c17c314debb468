import type { RedisOptions } from "ioredis";
import { isIPv6 } from "node:net";
import { refuseValue } from "../check-options.ts";
import { describeKind } from "../sentences.ts";

/** The options that form the address of a master. */
const ADDRESS = ["host", "port", "path", "db"] as const;
/** ioredis puts these into the options of every client, also beside a socket. */
const DEFAULTS: RedisOptions = { host: "localhost", port: 6379 };

const SCHEMES: Readonly<Record<string, { readonly tls: boolean }>> = {
  "redis:": { tls: false },
  "valkey:": { tls: false },
  "rediss:": { tls: true },
  "valkeys:": { tls: true },
};

const HOST_AND_PORT = /^(?:[\w.-]+|\[[\da-f:.]+\]):\d{1,5}(?:\/\d*)?$/i;
/** The port, also in a text that is no URL. */
const PORT_OF_URL =
  /^(?:redis|valkey)s?:\/\/(?:[^/?#]*@)?(?:\[[^\]]*\]|[^/?#:@]*):(\d+)(?:[/?#]|$)/i;
const A_URL = 'a URL like "redis://host:6379/0"';

/** Reads the address of a master from a URL or the path of a socket. @throws {LockConfigError} without the password. */
export function parseUrl(path: string, text: string): RedisOptions {
  if (text.startsWith("/")) return { path: text };
  if (HOST_AND_PORT.test(text)) {
    const found = "a host and a port without a scheme";
    return refuseValue(path, found, '"redis://" before it, "rediss://" for TLS');
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // The text may hold a password, which may look like a port: the error repeats nothing of it.
    if (Number(PORT_OF_URL.exec(text)?.[1]) > 65_535) {
      return refuseValue(path, "a URL whose port is out of range", "a port from 1 to 65535");
    }
    const expected = text.includes(",") ? `${A_URL}, one for each entry of nodes` : A_URL;
    return refuseValue(path, text === "" ? "an empty text" : "text that is not a URL", expected);
  }
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined) {
    // The text before the colon may be a user or a password: the error shows only known schemes.
    const isKnown = /^(?:https?|tcp|tls|unix|file|rediss?\+sentinel):$/.test(url.protocol);
    const found = isKnown ? `a URL with the scheme "${url.protocol}"` : "a URL with another scheme";
    return refuseValue(path, found, A_URL);
  }
  if (url.hostname === "") return refuseValue(path, "a URL without a host", A_URL);
  if (url.search !== "" || url.hash !== "") {
    return refuseValue(path, "a URL with a query; give an options object instead", A_URL);
  }
  const db = /^\/?(\d*)\/?$/.exec(url.pathname)?.[1];
  if (db === undefined) {
    return refuseValue(path, "a URL with a path that is no number of a database", A_URL);
  }
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      return refuseValue(path, "a URL whose user or password is not percent-encoded", A_URL);
    }
  };
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    ...(url.port === "" ? {} : { port: Number(url.port) }),
    ...(db === "" ? {} : { db: Number(db) }),
    ...(url.username === "" ? {} : { username: decode(url.username) }),
    ...(url.password === "" ? {} : { password: decode(url.password) }),
    ...(scheme.tls ? { tls: {} } : {}),
  };
}

/** Texts that are no host. Hosts are shown as the names of masters, and such a text may hold a password. */
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
const A_SOCKET = "the path of a Unix socket";
const A_HOST = "a host name or address";

/** Checks the host and the socket of a master. @throws {LockConfigError} without the values: they may hold a password. */
export function checkAddress(path: string, { host, path: socket }: RedisOptions): void {
  if (socket !== undefined) {
    if (typeof socket !== "string" || socket === "")
      return refuseValue(`${path}.path`, describeKind(socket), A_SOCKET);
    if (NO_SOCKET.test(socket))
      return refuseValue(`${path}.path`, "a URL", `${A_SOCKET}; a URL is the option url`);
  }
  if (host === undefined) return;
  if (typeof host !== "string" || host === "")
    return refuseValue(`${path}.host`, describeKind(host), A_HOST);
  if (isIPv6(host)) return;
  const [, found, hint] = NO_HOST.find(([form]) => form.test(host)) ?? [];
  if (found !== undefined) refuseValue(`${path}.host`, found, `${A_HOST} alone; ${hint}`);
}

/** Joins options with the parts of their URL. @throws {LockConfigError} when the two give different addresses. */
export function joinUrl(path: string, url: RedisOptions, options: RedisOptions): RedisOptions {
  for (const name of ADDRESS) {
    if (url[name] === undefined || options[name] === undefined) continue;
    if (isSame(url[name], options[name])) continue;
    refuseValue(`${path}.${name}`, "another one than in url", "one of them");
  }
  return { ...url, ...options };
}

/** Refuses a socket beside a host or a port: ioredis would use the socket. */
export function refuseTwoAddresses(path: string, options: RedisOptions): void {
  if (typeof options.path !== "string") return;
  for (const name of ["host", "port"] as const) {
    if (options[name] === undefined || options[name] === DEFAULTS[name]) continue;
    refuseValue(`${path}.path`, `a socket beside a ${name}`, "one of them");
  }
}

/** Refuses options without an address: each machine would use a server of its own. */
export function requireAddress(path: string, node: object, options: RedisOptions): void {
  if (options.path !== undefined || options.host !== undefined) return;
  if (Object.hasOwn(node, "host"))
    return refuseValue(`${path}.host`, describeKind(undefined), A_HOST);
  if (options.port !== undefined) return;
  refuseValue(path, "an object that does not say where the master is", "host, port, path or url");
}

function isSame(a: unknown, b: unknown): boolean {
  return typeof a === "string" && typeof b === "string"
    ? a.toLowerCase() === b.toLowerCase()
    : a === b;
}
