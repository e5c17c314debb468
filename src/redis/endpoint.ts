import { Redis, type RedisOptions } from "ioredis";
import { checkNumber, refuseUnknownOptions, refuseValue } from "../check-options.ts";
import { describeKind, describeValue } from "../sentences.ts";
import { checkAddress, joinUrl, parseUrl, refuseTwoAddresses, requireAddress } from "./address.ts";
import type { OpenClient } from "./connection.ts";
import { describeConnectionError } from "./node-error.ts";
import {
  KNOWN_IN_NODE,
  type NodeOptions,
  type RedisClient,
  REFUSED_IN_NODE,
  USUAL_IN_NODE,
} from "./node-options.ts";

/** A master, ready to be connected to. */
export interface Endpoint {
  /** For display: `host:port`, `host:port/db` or a socket path. */
  readonly name: string;
  /** Two endpoints with the same address are the same server. */
  readonly address: string;
  readonly db: number;
  /** Makes a client with these options on top of the user's, with the current credentials. */
  readonly connect: OpenClient;
}

const EXPECTED =
  'a URL like "redis://host:6379", an options object like { host, port }, or an ioredis client';
const ONE_MASTER = "one independent master";

/** Parses all entries of `nodes`. @throws {LockConfigError} also for a server that is listed twice. */
export function parseEndpoints(path: string, nodes: unknown): Endpoint[] {
  if (!Array.isArray(nodes) || nodes.length === 0) {
    const found = Array.isArray(nodes) ? "an empty array" : describeKind(nodes);
    return refuseValue(path, found, "at least one Redis master, better three or five");
  }
  const endpoints = Array.from(nodes, (node: unknown, index) =>
    parseEndpoint(`${path}[${index}]`, node),
  );
  for (const [index, { address }] of endpoints.entries()) {
    const first = endpoints.findIndex((other) => other.address === address);
    if (first === index) continue;
    const found = `${address}, the same server as ${path}[${first}]`;
    refuseValue(`${path}[${index}]`, found, "another server: two votes of one server are one");
  }
  return endpoints;
}

/** Parses one entry of `nodes`. @throws {LockConfigError} that shows ports and numbers of databases alone. */
export function parseEndpoint(path: string, node: unknown): Endpoint {
  if (typeof node === "string") return toEndpoint(path, parseUrl(path, node));
  if (typeof node !== "object" || node === null || Array.isArray(node)) {
    return refuseValue(path, describeKind(node), EXPECTED);
  }
  if (isUrl(node)) return toEndpoint(path, parseUrl(path, node.href));
  if (isIoredisClient(node)) return clientEndpoint(path, node);
  if ("duplicate" in node || "sendCommand" in node) {
    return refuseValue(path, "a client that is not ioredis'", EXPECTED);
  }
  for (const refused of REFUSED_IN_NODE) {
    if (!(refused in node)) continue;
    const found = describeKind(node[refused as keyof typeof node]);
    refuseValue(
      `${path}.${refused}`,
      found,
      `${ONE_MASTER}: a failover or a move of slots would lose locks`,
    );
  }
  if ("connection" in node) {
    const found = describeKind(node.connection);
    refuseValue(
      `${path}.connection`,
      found,
      "its options in the entry itself, as in { host, port }",
    );
  }
  // The name is not shown: it may be a password.
  refuseUnknownOptions(path, node, KNOWN_IN_NODE, { usual: USUAL_IN_NODE, isShown: false });
  const { url, ...options } = withoutUndefined(node);
  if (url === undefined) {
    requireAddress(path, node, options);
    return toEndpoint(path, options);
  }
  if (typeof url !== "string") return refuseValue(`${path}.url`, describeKind(url), "a text");
  return toEndpoint(path, joinUrl(path, parseUrl(`${path}.url`, url), options));
}

function toEndpoint(path: string, options: RedisOptions): Endpoint {
  const { host = "127.0.0.1", port = 6379, db = 0 } = options;
  refuseKeyPrefixAndMonitor(path, options);
  checkAddress(path, options);
  refuseTwoAddresses(path, options);
  checkNumber(`${path}.port`, port, { min: 1, max: 65_535, unit: "a port", describe });
  const unit = "the number of a database";
  checkNumber(`${path}.db`, db, { min: 0, max: 1_000_000, unit, describe });
  checkTls(`${path}.tls`, options.tls);
  return {
    ...nameEndpoint(options),
    connect: async (dedicated) => {
      const credentials = await readCredentials(options);
      const all = { ...options, host, port, ...dedicated, ...credentials };
      return new Redis({ ...all, replyMapping: "legacy" });
    },
  };
}

function clientEndpoint(path: string, client: RedisClient): Endpoint {
  if ("isCluster" in client && client.isCluster === true) {
    return refuseValue(path, "a Redis Cluster client", ONE_MASTER);
  }
  const options = client.options as RedisOptions;
  if (options.sentinels) {
    return refuseValue(path, "a Sentinel client", `${ONE_MASTER}: a failover would lose locks`);
  }
  refuseKeyPrefixAndMonitor(`${path}.options`, options);
  checkAddress(`${path}.options`, { host: options.host ?? "127.0.0.1" });
  return { ...nameEndpoint(options), connect: duplicator(client) };
}

/** Connects like a client, with the options and credentials that the client has at that time. */
export function duplicator(client: RedisClient): OpenClient {
  return async (dedicated) => {
    const credentials = await readCredentials(client.options);
    return client.duplicate({ ...dedicated, ...credentials }) as Redis;
  };
}

type Credentials = Pick<RedisOptions, "username" | "password">;

/**
 * Calls those of the two credentials that are functions.
 * @throws {Error} that names the credential whose function failed, without a secret.
 */
async function readCredentials(options: object): Promise<Credentials> {
  const given = options as { username?: unknown; password?: unknown };
  return {
    ...(await readCredential("username", given.username)),
    ...(await readCredential("password", given.password)),
  };
}

async function readCredential(
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

function nameEndpoint(options: RedisOptions): Omit<Endpoint, "connect"> {
  const { host = "127.0.0.1", port = 6379, db = 0, path: socket } = options;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  const address = socket ? socket : `${shownHost.toLowerCase()}:${port}`;
  return { address, db, name: db === 0 ? address : `${address}/${db}` };
}

/** Refuses options of ioredis that change the meaning of commands. */
function refuseKeyPrefixAndMonitor(path: string, { keyPrefix, monitor }: RedisOptions): void {
  if (keyPrefix !== undefined && keyPrefix !== "") {
    const expected = "none: the keys of locks have the option prefix of the Redlock";
    refuseValue(`${path}.keyPrefix`, describeKind(keyPrefix), expected);
  }
  if (monitor) {
    const expected = "none: a connection in the mode of MONITOR takes no commands";
    refuseValue(`${path}.monitor`, describeKind(monitor), expected);
  }
}

function checkTls(path: string, tls: unknown): void {
  if (tls === undefined || tls === "RedisCloudFixed" || tls === "RedisCloudFlexible") return;
  if (typeof tls !== "object" || tls === null || Array.isArray(tls)) {
    const expected = "an object of options for tls.connect, {} for none of them";
    return refuseValue(path, describeKind(tls), expected);
  }
  const { ca, cert, key } = tls as Record<string, unknown>;
  for (const [name, pem] of Object.entries({ ca, cert, key })) {
    // Node takes any text, and the server is then one of an unknown authority.
    if (typeof pem !== "string" || pem === "" || isPem(pem)) continue;
    const expected = "PEM, which contains -----BEGIN: the content of a file, not its path";
    refuseValue(`${path}.${name}`, "another text", expected);
  }
}

/** Whether a text has certificates or keys as `tls.connect` takes them. */
export function isPem(text: string): boolean {
  return text.includes("-----BEGIN ");
}

/** Shows a port or the number of a database, but not a very long number: it may be a secret. */
function describe(value: unknown): string {
  return typeof value === "number" && Math.abs(value) < 1e6
    ? describeValue(value)
    : describeKind(value);
}

/** An option that is `undefined` must not replace a part of the URL. */
function withoutUndefined(node: object): NodeOptions & RedisOptions {
  return Object.fromEntries(Object.entries(node).filter(([, value]) => value !== undefined));
}

/** Recognises URLs of other realms too, which test runners create. */
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
