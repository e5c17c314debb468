import type { RedisOptions } from "ioredis";
import { LockConfigError } from "../errors.ts";

/** What a server of Valkey is given by means the same. */
const SCHEMES: Readonly<Record<string, { readonly tls: boolean }>> = {
  "redis:": { tls: false },
  "valkey:": { tls: false },
  "rediss:": { tls: true },
  "valkeys:": { tls: true },
};

const HOST_AND_PORT = /^(?:[\w.-]+|\[[\da-f:.]+\]):\d{1,5}(?:\/\d*)?$/i;

/** Also where the rest makes no URL. */
const PORT_OF_URL =
  /^(?:redis|valkey)s?:\/\/(?:[^/?#]*@)?(?:\[[^\]]*\]|[^/?#:@]*):(\d+)(?:[/?#]|$)/i;

/** Reads where a master is out of a URL or the path of a socket. @throws {LockConfigError} that repeats no password. */
export function parseUrl(path: string, text: string): RedisOptions {
  if (text.startsWith("/")) return { path: text };
  const refuse = (found: string, expected = 'a URL like "redis://host:6379/0"'): never => {
    throw new LockConfigError({ path, found, expected });
  };
  if (HOST_AND_PORT.test(text)) {
    return refuse(
      "a host and a port without a scheme",
      '"redis://" before it, "rediss://" for TLS',
    );
  }
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // The text may hold a password, and what looks like a port may be a part of it: nothing is repeated.
    if (Number(PORT_OF_URL.exec(text)?.[1]) > 65_535) {
      return refuse("a URL whose port is out of range", "a port from 1 to 65535");
    }
    return refuse("text that is not a URL");
  }
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined) {
    // What is no scheme may be a user, or a password.
    const isKnown = /^(?:https?|tcp|tls|unix|file|rediss?\+sentinel):$/.test(url.protocol);
    return refuse(
      isKnown ? `a URL with the scheme "${url.protocol}"` : "a URL with another scheme",
    );
  }
  if (url.hostname === "") return refuse("a URL without a host");
  if (url.search !== "" || url.hash !== "") {
    return refuse("a URL with a query; give an options object instead");
  }
  const db = /^\/?(\d*)\/?$/.exec(url.pathname)?.[1];
  if (db === undefined) return refuse("a URL with a path that is no number of a database");
  const decode = (part: string): string => {
    try {
      return decodeURIComponent(part);
    } catch {
      return refuse("a URL whose user or password is not percent-encoded");
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
