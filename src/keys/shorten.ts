import { createHash } from "node:crypto";

/** The longest key that a template or a key function gives unshortened, in bytes of UTF-8. */
export const MAX_READABLE_BYTES = 512;

const PREFIX_BYTES = 128;
const SHORTENED = /%sha256:[0-9a-f]{64}$/;

/**
 * Shortens a key of more than 512 bytes to its beginning, `%sha256:` and the hash of all of it.
 *
 * Different keys stay different: a key that only looks shortened is shortened too, so that a
 * short key never equals a shortened one.
 */
export function shortenKey(key: string): string {
  if (Buffer.byteLength(key) <= MAX_READABLE_BYTES && !SHORTENED.test(key)) return key;
  const hash = createHash("sha256").update(key).digest("hex");
  return `${beginning(key)}%sha256:${hash}`;
}

function beginning(key: string): string {
  // `encodeInto` never writes part of a character.
  const { read } = new TextEncoder().encodeInto(key, new Uint8Array(PREFIX_BYTES));
  return key.slice(0, read);
}
