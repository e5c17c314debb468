import { randomBytes } from "node:crypto";

/** Where the library takes chance from. Injected, so that a test replays a run from its seed. */
export interface Random {
  /** A number from 0 up to, not including, 1. Only for jitter. */
  fraction(): number;
  /** A fresh owner: unguessable, never used twice, without a colon. */
  owner(): string;
}

/** Size of an owner in bytes: 128 bits, as in the published algorithm's 20 random bytes, never collide by chance. */
const OWNER_BYTES = 16;

/** How many owners are drawn at once: one call of the generator costs as much as all the rest of an owner. */
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

/** The chance of this process. */
export const systemRandom: Random = {
  fraction: () => Math.random(),
  owner: drawOwner,
};
