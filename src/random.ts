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

/** The chance of this process. */
export const systemRandom: Random = {
  fraction: () => Math.random(),
  owner: () => randomBytes(OWNER_BYTES).toString("base64url"),
};
