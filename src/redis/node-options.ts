import type { RedisOptions } from "ioredis";

/** Every option of ioredis 6, which include those of ioredis 5. A missing or an unknown name does not compile. */
// oxfmt-ignore
const IOREDIS_OPTIONS = {
  host: true, port: true, path: true, family: true, username: true, password: true, db: true,
  tls: true, Connector: true, autoPipeliningIgnoredCommands: true,
  autoResendUnfulfilledCommands: true, autoResubscribe: true, blockingTimeout: true,
  blockingTimeoutGrace: true, clientInfoTag: true, commandQueue: true, commandTimeout: true,
  connectTimeout: true, connectionName: true, disableClientInfo: true,
  disconnectTimeout: true, enableAutoPipelining: true, enableOfflineQueue: true,
  enableReadyCheck: true, enableTLSForSentinelMode: true, failoverDetector: true,
  himportFieldsets: true, keepAlive: true, keyPrefix: true, lazyConnect: true,
  maxLoadingRetryTime: true, maxRetriesPerRequest: true, monitor: true, name: true,
  natMap: true, noDelay: true, offlineQueue: true, preferredSlaves: true, protocol: true,
  readOnly: true, reconnectOnError: true, replyMapping: true, retryStrategy: true, role: true,
  scripts: true, sentinelCommandTimeout: true, sentinelMaxConnections: true,
  sentinelPassword: true, sentinelReconnectStrategy: true, sentinelRetryStrategy: true,
  sentinelTLS: true, sentinelUsername: true, sentinels: true, showFriendlyErrorStack: true,
  socketTimeout: true, stringNumbers: true, updateSentinels: true,
} as const satisfies Record<keyof RedisOptions, true>;

type IoredisOption = keyof typeof IOREDIS_OPTIONS;

/** A user name or a password, or a function that gives it at each connect, for example a token that expires. */
type Credential = string | (() => string | Promise<string>);

/** A master given by its parts: the address (`url`, `host`, `port` or `path`), and any option of ioredis. */
export interface NodeOptions extends Partial<Record<IoredisOption, unknown>> {
  url?: string;
  /** @defaultValue "127.0.0.1" */
  host?: string;
  /** @defaultValue 6379 */
  port?: number;
  /** Path of a Unix socket, instead of host and port. */
  path?: string;
  /** A text, or a function that gives it at each connect. When the function fails, so does the attempt; another one follows. */
  username?: Credential;
  /** As `username`: for example a token that expires. */
  password?: Credential;
  /** @defaultValue 0 */
  db?: number;
  /** Options of `tls.connect`, or the name of a profile of ioredis. */
  tls?: object | "RedisCloudFixed" | "RedisCloudFlexible";
  /** Refused: the keys of locks have the `prefix` of the `Redlock`. */
  keyPrefix?: "";
  /** Refused: a monitoring connection takes no commands. */
  monitor?: false;
}

/**
 * An ioredis client of any supported version. It is duplicated at each connect, with our own options and the credentials that
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

/** The known options of an entry of `nodes` that is an object. */
export const KNOWN_IN_NODE: readonly string[] = ["url", ...Object.keys(IOREDIS_OPTIONS)];
/** Options of clients that treat several servers as one. */
export const REFUSED_IN_NODE = ["sentinels", "cluster", "nodes"];
/** The expectation in the error for a name that is close to no known option. */
export const USUAL_IN_NODE =
  "an option of ioredis, such as host, port, path, username, password, db or tls; or url";
