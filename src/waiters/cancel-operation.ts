import type { Operation } from "../redis/operation.ts";
import type { Names } from "../lock/stored-lock.ts";

/** A request to a holder to stop. */
export interface CancelRequest {
  /** The name of the slot that the holder holds. */
  readonly key: string;
  /** The fencing token of the holder that is asked. */
  readonly token: number;
  /** The position of the job that asks: a holder stops for a later one only. */
  readonly position: string;
  /** Names the asking job for people. */
  readonly by: string;
}

/** Milliseconds that a request is kept: the holder checks at each heartbeat. */
export const REQUEST_LIFE = 60_000;

/** Stores a request for a holder, and sends it as a message. A later request replaces an earlier one. */
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

/** Reads the request that is stored for the holder of a key. */
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

/** Reads a request; `undefined` for any other text. */
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
