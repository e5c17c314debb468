import type { Operation } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";

/** Somebody asks a holder to give way. */
export interface CancelRequest {
  readonly key: string;
  /** The fencing token of the holder that is asked. */
  readonly token: number;
  /** The place of who asks: a holder gives way to a later one only. */
  readonly position: string;
  /** Who asks, for people. */
  readonly by: string;
}

/** Milliseconds that a request is kept: the holder looks at each heartbeat. */
export const REQUEST_LIFE = 60_000;

/** Leaves a request for a holder, and hastens it by a message. A later place replaces an earlier one. */
export const cancelOperation: Operation<CancelRequest & { readonly names: Names }, void> = {
  name: "cancel",
  lua: `
  redis.call('SET', keys[1], argv[1], 'PX', argv[2])
  redis.pcall('PUBLISH', argv[3], argv[1])
  return 'OK'`,
  keys: ({ names, key }) => [names.request(key)],
  argv: ({ names, key, token, position, by }) => [
    JSON.stringify([key, token, position, by]),
    REQUEST_LIFE,
    names.cancelled,
  ],
  parse: () => {},
};

/** Reads the request that was left for the holder of a key. */
export const requestOperation: Operation<
  { readonly names: Names; readonly key: string },
  CancelRequest | undefined
> = {
  name: "request",
  lua: `return { 'OK', redis.call('GET', keys[1]) or '' }`,
  keys: ({ names, key }) => [names.request(key)],
  argv: () => [],
  parse: ([, stored]) => parseRequest(String(stored)),
};

/** Reads a request; `undefined` when it is none of ours. */
export function parseRequest(text: string): CancelRequest | undefined {
  try {
    const parts: unknown = JSON.parse(text);
    if (!Array.isArray(parts) || parts.length !== 4) return undefined;
    const [key, token, position, by] = parts as unknown[];
    return { key: String(key), token: Number(token), position: String(position), by: String(by) };
  } catch {
    return undefined;
  }
}
