/** What went wrong, without the noise: `ECONNREFUSED`, or the server's own words. */
export function describeConnectionError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = "code" in error ? error.code : undefined;
  if (typeof code === "string" && code !== "") return code;
  // A host name with several addresses fails with one error for each.
  if (error instanceof AggregateError) return error.errors.map(describeConnectionError).join(", ");
  return error.message;
}

/** How far a connection had come when it ended. */
export interface LinkStage {
  /** The server had accepted it, TLS included. */
  readonly connected: boolean;
  /** The first commands had been answered. */
  readonly served: boolean;
  readonly tls: boolean;
}

const TLS_HINT = "is given as rediss:// or with the option tls";

/** Why a connection ended, in plain words. `error` is what ioredis said last, if it said anything. */
export function describeEnd(error: unknown, { connected, served, tls }: LinkStage): string {
  const said = saidAbout(error);
  if (said !== undefined && /^Unknown RESP type|^Protocol error/.test(said)) {
    // 21 is the first byte of an alert of TLS.
    const alert = /^Unknown RESP type 21\b|\\u0015/.test(said);
    if (alert) return `the server expects TLS; it ${TLS_HINT}`;
    return "an answer that is not Redis' protocol";
  }
  if (served) return said === undefined ? "closed by the server" : `the connection broke: ${said}`;
  if (!connected) {
    if (said === undefined) return "closed before the connection was made";
    const plain = tls && /^EPROTO$|^ERR_SSL_|WRONG_VERSION/.test(said);
    return plain ? `the server speaks no TLS, expected redis:// or no option tls (${said})` : said;
  }
  if (said !== undefined && said !== "ECONNRESET" && said !== "EPIPE") return said;
  const how = said === undefined ? "" : ` (${said})`;
  return `closed before the first answer${how}${tls ? "" : `; a server that expects TLS ${TLS_HINT}`}`;
}

/** What was said about an end; nothing where ioredis only says that there is no connection any more. */
function saidAbout(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  const said = describeConnectionError(error);
  return /^Connection is closed|^Stream isn't writeable/.test(said) ? undefined : said;
}

/** Replies by which a server says that it is no master for this connection any more. */
const UNFIT_REPLY = /(?:^|: )-?(READONLY|LOADING|NOAUTH|MASTERDOWN)\b/;

const UNFIT: Readonly<Record<string, string>> = {
  READONLY: "it is a replica now",
  LOADING: "it is loading its data",
  NOAUTH: "it wants credentials again",
  MASTERDOWN: "it is a replica without its master now",
};

/** What an error reply says about the server itself, in its words and in plain ones; `undefined` for other replies. */
export function describeUnfitReply(message: string): string | undefined {
  const [, word] = UNFIT_REPLY.exec(message) ?? [];
  if (word === undefined) return undefined;
  return `${message.replace(/\.$/, "")}: ${UNFIT[word]}`;
}

/** Whether a server says that the user of the connection may not do that, bare or in a script. */
export function isForbidden(message: string): boolean {
  return /NOPERM|can't run this command/.test(message);
}
