import { randomBytes } from "node:crypto";

/** The source of randomness. Injected, so that a test can replay a run from its seed. */
export interface Random {
  /** A number from 0 up to, not including, 1. Only for jitter. */
  fraction(): number;
  /** A fresh owner: unguessable, never used twice, without a colon. */
  owner(): string;
}

/**
 * Size of an owner in bytes. 128 bits never collide by chance; the published algorithm uses 20 bytes.
 * @see https://redis.io/docs/latest/develop/clients/patterns/distributed-locks/ ("Correct Implementation with a Single Instance")
 */
const OWNER_BYTES = 16;

/** Owners that are drawn at once: a call of the generator costs as much as all the rest of an owner. */
const OWNERS_AT_ONCE = 256;

let drawn = Buffer.alloc(0);
let used = 0;

function drawOwner(): string {
  if (used >= drawn.length) {
    drawn = randomBytes(OWNER_BYTES * OWNERS_AT_ONCE);
    used = 0;
  }
  used += OWNER_BYTES;
  return drawn.toString("base64url", used - OWNER_BYTES, used);
}

/** The randomness of this process. */
export const systemRandom: Random = {
  fraction: () => Math.random(),
  owner: drawOwner,
};
