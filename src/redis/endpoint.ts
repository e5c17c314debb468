import { Redis, type RedisOptions } from "ioredis";
import { checkNumber, refuseUnknownOptions } from "../check-options.ts";
import { LockConfigError } from "../errors.ts";
import { type Credential, readCredentials } from "./credentials.ts";
import { IOREDIS_OPTIONS, type IoredisOption } from "./ioredis-options.ts";
import type { OpenClient } from "./link.ts";
import { parseUrl } from "./parse-url.ts";
import { checkAddress, joinUrl, refuseTwoAddresses, requireAddress } from "./address.ts";
import { describeKind, describeValue } from "../sentences.ts";

/** A master given by its parts: where it is (`url`, `host`, `port` or `path`), and any option of ioredis. */
export interface NodeOptions extends Partial<Record<IoredisOption, unknown>> {
  url?: string;
  /** @defaultValue "127.0.0.1" */
  host?: string;
  /** @defaultValue 6379 */
  port?: number;
  /** Path of a Unix socket, in place of host and port. */
  path?: string;
  /** Or what gives it, asked at each connect. An error or a rejection is the cause of a failed attempt, and another follows. */
  username?: Credential;
  /** As `username`: a token that expires, say. */
  password?: Credential;
  /** @defaultValue 0 */
  db?: number;
  /** Options of `tls.connect`, or the name of a profile of ioredis. */
  tls?: object | "RedisCloudFixed" | "RedisCloudFlexible";
  /** Refused: the keys of locks have the `prefix` of the `Redlock`. */
  keyPrefix?: "";
  /** Refused: a connection that watches takes no commands. */
  monitor?: false;
}

/**
 * An ioredis client of any supported version; it is duplicated with our own options at each connect, with the credentials that
 * it has then, and never used itself.
 */
export interface RedisClient {
  duplicate(override?: object): unknown;
  defineCommand(name: string, definition: { lua: string }): void;
  readonly options: object;
}

/**
 * A lock master: a URL, as a text or an object (`redis://`, `rediss://`, `valkey://`, `valkeys://`), the path of a Unix socket,
 * its parts, or an ioredis client.
 */
export type NodeOption = string | URL | NodeOptions | RedisClient;

/** A master we can connect to. */
export interface Endpoint {
  /** For people: `host:port`, `host:port/db` or a socket path. */
  readonly name: string;
  /** Two endpoints with the same address are the same server. */
  readonly address: string;
  readonly db: number;
  /** Makes a client with these options on top of those that the user gave, with the credentials of now. */
  readonly connect: OpenClient;
}

/** What an entry of `nodes` may have, if it is an object. */
export const KNOWN_IN_NODE: readonly string[] = ["url", ...IOREDIS_OPTIONS];
/** What several servers have, that are one to their clients. */
export const REFUSED_IN_NODE = ["sentinels", "cluster", "nodes"];
/** What is said of a name that is not near to any of them. */
export const USUAL_IN_NODE =
  "an option of ioredis, such as host, port, path, username, password, db or tls; or url";

const TLS_PROFILES: readonly unknown[] = ["RedisCloudFixed", "RedisCloudFlexible"];
const EXPECTED =
  'a URL like "redis://host:6379", an options object like { host, port }, or an ioredis client';

/** Of a port or a database: a number is no secret there, unless it is a very long one. */
const describe = (value: unknown): string =>
  typeof value === "number" && Math.abs(value) < 1e6 ? describeValue(value) : describeKind(value);

/** Understands one entry of `nodes`. Errors repeat nothing of it but ports and numbers of databases. */
export function parseEndpoint(path: string, node: unknown): Endpoint {
  if (typeof node === "string") return describeEndpoint(path, parseUrl(path, node));
  if (typeof node !== "object" || node === null || Array.isArray(node)) {
    throw new LockConfigError({ path, found: describeKind(node), expected: EXPECTED });
  }
  if (isUrl(node)) return describeEndpoint(path, parseUrl(path, node.href));
  if (isIoredisClient(node)) return clientEndpoint(path, node);
  if ("duplicate" in node || "sendCommand" in node) {
    throw new LockConfigError({ path, found: "a client that is not ioredis'", expected: EXPECTED });
  }
  for (const refused of REFUSED_IN_NODE) {
    if (!(refused in node)) continue;
    throw new LockConfigError({
      path: `${path}.${refused}`,
      found: describeKind(node[refused as keyof typeof node]),
      expected: "one independent master: a failover or a move of slots would lose locks",
    });
  }
  // As in a rules file: what is no name of an option may be a password.
  refuseUnknownOptions(path, node, KNOWN_IN_NODE, { usual: USUAL_IN_NODE, isShown: false });
  const { url, ...options } = withoutUndefined(node);
  if (url === undefined) {
    requireAddress(path, node, options);
    return describeEndpoint(path, options);
  }
  if (typeof url !== "string") {
    throw new LockConfigError({
      path: `${path}.url`,
      found: describeKind(url),
      expected: "a text",
    });
  }
  return describeEndpoint(path, joinUrl(path, parseUrl(`${path}.url`, url), options));
}

function describeEndpoint(path: string, options: RedisOptions): Endpoint {
  const { host = "127.0.0.1", port = 6379, db = 0, path: socket } = options;
  refuseUseless(path, options);
  checkAddress(path, options);
  refuseTwoAddresses(path, options);
  checkNumber(`${path}.port`, port, { min: 1, max: 65_535, unit: "a port", describe });
  checkNumber(`${path}.db`, db, {
    min: 0,
    max: 1_000_000,
    unit: "the number of a database",
    describe,
  });
  checkTls(`${path}.tls`, options.tls);
  return {
    ...nameEndpoint(host, port, socket, db),
    connect: async (dedicated) => {
      const credentials = await readCredentials(options);
      const all = { ...options, host, port, ...dedicated, ...credentials };
      return new Redis({ ...all, replyMapping: "legacy" });
    },
  };
}

/** Options of ioredis that change what commands mean. */
function refuseUseless(path: string, options: RedisOptions): void {
  const { keyPrefix, monitor } = options;
  if (keyPrefix !== undefined && keyPrefix !== "") {
    throw new LockConfigError({
      path: `${path}.keyPrefix`,
      found: describeKind(keyPrefix),
      expected: "none: what is put before the keys of locks is the option prefix of the Redlock",
    });
  }
  if (monitor) {
    throw new LockConfigError({
      path: `${path}.monitor`,
      found: describeKind(monitor),
      expected: "none: a connection in the mode of MONITOR takes no commands",
    });
  }
}

/** What is there without a value must not take the place of a part of the URL. */
function withoutUndefined(node: object): NodeOptions & RedisOptions {
  return Object.fromEntries(Object.entries(node).filter(([, value]) => value !== undefined));
}

function checkTls(path: string, tls: unknown): void {
  if (tls === undefined || TLS_PROFILES.includes(tls)) return;
  if (typeof tls === "object" && tls !== null && !Array.isArray(tls)) return;
  throw new LockConfigError({
    path,
    found: describeKind(tls),
    expected: "an object of options for tls.connect, {} for none of them",
  });
}

function clientEndpoint(path: string, client: RedisClient): Endpoint {
  if ("isCluster" in client && client.isCluster === true) {
    throw new LockConfigError({
      path,
      found: "a Redis Cluster client",
      expected: "one independent master",
    });
  }
  const options = client.options as RedisOptions;
  if (options.sentinels) {
    throw new LockConfigError({
      path,
      found: "a Sentinel client",
      expected: "one independent master: a failover would lose locks",
    });
  }
  const { host = "127.0.0.1", port = 6379, db = 0, path: socket } = options;
  refuseUseless(`${path}.options`, options);
  checkAddress(`${path}.options`, { host });
  return { ...nameEndpoint(host, port, socket, db), connect: duplicator(client) };
}

/** Connects as a client does, with the options that it has at that time. */
export function duplicator(client: RedisClient): OpenClient {
  return async (dedicated) => {
    const credentials = await readCredentials(client.options);
    return client.duplicate({ ...dedicated, ...credentials }) as Redis;
  };
}

function nameEndpoint(
  host: string,
  port: number,
  socket: string | null | undefined,
  db: number,
): Omit<Endpoint, "connect"> {
  const shownHost = host.includes(":") ? `[${host}]` : host;
  const address = socket ? socket : `${shownHost.toLowerCase()}:${port}`;
  return { address, db, name: db === 0 ? address : `${address}/${db}` };
}

/** Also one of another realm, as test runners make. */
function isUrl(node: object): node is URL {
  return Object.prototype.toString.call(node) === "[object URL]";
}

function isIoredisClient(node: object): node is RedisClient {
  return (
    "duplicate" in node &&
    typeof node.duplicate === "function" &&
    "defineCommand" in node &&
    typeof node.defineCommand === "function" &&
    "options" in node
  );
}

/** Understands all entries of `nodes`, and refuses a server that is listed twice. */
export function parseEndpoints(path: string, nodes: unknown): Endpoint[] {
  if (!Array.isArray(nodes) || nodes.length === 0) {
    throw new LockConfigError({
      path,
      found: Array.isArray(nodes) ? "an empty array" : describeKind(nodes),
      expected: "at least one Redis master, better three or five",
    });
  }
  const endpoints = Array.from(nodes, (node: unknown, index) =>
    parseEndpoint(`${path}[${index}]`, node),
  );
  for (const [index, { address }] of endpoints.entries()) {
    const first = endpoints.findIndex((other) => other.address === address);
    if (first === index) continue;
    throw new LockConfigError({
      path: `${path}[${index}]`,
      found: `${address}, the same server as ${path}[${first}]`,
      expected: "another server: two votes of one server are one",
    });
  }
  return endpoints;
}
