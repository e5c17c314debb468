/** Why a master gave no answer that counts. */
export type NodeFailure = "timed-out" | "unreachable" | "refused" | "duplicate";

/** A master gave no answer that counts. */
export class NodeError extends Error {
  override readonly name = "NodeError";
  readonly failure: NodeFailure;
  /** In words, without the node's name: "ECONNREFUSED", "NOAUTH ...". */
  readonly reason: string;

  /** @param advice follows the reason in the message. */
  constructor(failure: NodeFailure, reason: string, advice = "") {
    super(`${reason}${advice}`);
    this.failure = failure;
    this.reason = reason;
  }
}

/** Replies by which a server reports that it is no usable master for this connection any more. */
const UNUSABLE_REPLY = /(?:^|: )-?(READONLY|LOADING|NOAUTH|MASTERDOWN)\b/;

const UNUSABLE: Readonly<Record<string, string>> = {
  READONLY: "it is a replica now",
  LOADING: "it is loading its data",
  NOAUTH: "it wants credentials again",
  MASTERDOWN: "it is a replica without its master now",
};

/** Reads an error reply. A reply that makes the server unusable is a failure of the connection, not of the request. */
export function toNodeError(reply: string): NodeError {
  const [, code] = UNUSABLE_REPLY.exec(reply) ?? [];
  if (code !== undefined) {
    return new NodeError("unreachable", `${reply.replace(/\.$/, "")}: ${UNUSABLE[code]}`);
  }
  return new NodeError("refused", reply, isForbidden(reply) ? PERMISSIONS : undefined);
}

const PERMISSIONS = "; npx bullmq-redlock doctor names what its user lacks";
const CREDENTIALS = "; check the user name and the password of the master";

/** The failure of a request for which there is no connection. A server that refuses its user was reached. */
export function toConnectionError(cause: string): NodeError {
  const [, code] = /^-?(WRONGPASS|NOAUTH|NOPERM)\b/.exec(cause) ?? [];
  if (code === undefined) return new NodeError("unreachable", cause);
  const advice = code === "NOPERM" ? PERMISSIONS : CREDENTIALS;
  return new NodeError("refused", cause.replace(/\.$/, ""), advice);
}

/** Whether an error reply denies a command to the user of the connection, directly or inside a script. */
export function isForbidden(reply: string): boolean {
  return /NOPERM|can't run this command|ACL failure/.test(reply);
}

/** An error in one line: `ECONNREFUSED`, or the words of the server. */
export function describeConnectionError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code: unknown = "code" in error ? error.code : undefined;
  if (typeof code === "string" && code !== "") return explainTls(code, error.message) ?? code;
  // A host name with several addresses fails with one error for each.
  if (error instanceof AggregateError) return error.errors.map(describeConnectionError).join(", ");
  return explainProtocol(error.message) ?? error.message;
}

/** Explains why the two sides do not trust each other; `undefined` for any other code. */
function explainTls(code: string, message: string): string | undefined {
  if (/ALERT_CERTIFICATE_REQUIRED/.test(code)) {
    return `${code}: the server asks for a client certificate, expected tls.cert and tls.key (commands: --cert, --key)`;
  }
  if (/^(SELF_SIGNED|DEPTH_ZERO|UNABLE_TO_)/.test(code)) {
    return `${code}: ${message}; its authority is given as tls.ca (commands: --cacert)`;
  }
  return /^(ERR_TLS_|CERT_|INVALID_CA)/.test(code) ? `${code}: ${message}` : undefined;
}

/** Explains what the parser of replies could not read; `undefined` for any other message. */
function explainProtocol(message: string): string | undefined {
  if (!/^Unknown RESP type|^Protocol error/.test(message)) return undefined;
  // 21 is the first byte of an alert of TLS.
  const alert = /^Unknown RESP type 21\b|\\u0015/.test(message);
  return alert ? `the server expects TLS; it ${TLS_HINT}` : "an answer that is not Redis' protocol";
}

/** How far a connection had come when it ended. */
interface ConnectionStage {
  /** The server had accepted it, TLS included. */
  readonly connected: boolean;
  /** The first commands had been answered. */
  readonly served: boolean;
  readonly tls: boolean;
}

const TLS_HINT = "is given as rediss:// or with the option tls";

/** Describes why a connection ended. `error` is the last error of ioredis, if there was one. */
export function describeEnd(error: unknown, { connected, served, tls }: ConnectionStage): string {
  const garbled = error instanceof Error ? explainProtocol(error.message) : undefined;
  if (garbled !== undefined) return garbled;
  const cause = causeOf(error);
  if (served) {
    return cause === undefined ? "closed by the server" : `the connection broke: ${cause}`;
  }
  if (!connected) {
    if (cause === undefined) return "closed before the connection was made";
    const plain = tls && /^EPROTO$|^ERR_SSL_|WRONG_VERSION/.test(cause);
    return plain
      ? `the server speaks no TLS, expected redis:// or no option tls (${cause})`
      : cause;
  }
  if (cause !== undefined && cause !== "ECONNRESET" && cause !== "EPIPE") return cause;
  const how = cause === undefined ? "" : ` (${cause})`;
  const hint = tls
    ? "the server may ask for a client certificate"
    : `a server that expects TLS ${TLS_HINT}`;
  return `closed before the first answer${how}; ${hint}`;
}

/** `undefined` also where ioredis only reports that there is no connection. */
function causeOf(error: unknown): string | undefined {
  if (error === undefined) return undefined;
  const cause = describeConnectionError(error);
  return /^Connection is closed|^Stream isn't writeable/.test(cause) ? undefined : cause;
}
