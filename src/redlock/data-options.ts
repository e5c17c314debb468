import type { DataOption } from "../data-option.ts";
import { LONGEST_TTL, RETENTION } from "../lock/stored-lock.ts";
import type { RedlockOptions } from "./options.ts";

/**
 * The options of a `Redlock` that are data, but for the masters: their names, values, bounds, constant defaults, and their
 * descriptions in a schema. A rules file takes these at its top. An option that is not here does not compile.
 */
export const REDLOCK_OPTIONS = {
  ttl: {
    takes: "duration",
    says: "How long a lock lives without an extend; default 15s.",
    default: 15_000,
    min: 1,
    max: LONGEST_TTL,
  },
  maxTtl: {
    takes: "duration",
    says: "The longest ttl that a rule may have; default the ttl.",
    max: LONGEST_TTL,
  },
  heartbeat: {
    takes: "duration or false",
    says: "Between two extends of a held lock; default a third of the ttl.",
  },
  nodeTimeout: {
    takes: "duration",
    says: "How long one master has to answer; default a twentieth of the ttl, 50ms to 1s.",
    min: 10,
    max: 60_000,
  },
  driftFactor: {
    takes: "ratio",
    says: "By how much the clocks of masters and clients may differ in speed; default 0.01.",
    default: 0.01,
    max: 0.2,
  },
  prefix: {
    takes: "text",
    says: 'Put before every key that is stored; default "redlock:". All programs that share locks need the same.',
    default: "redlock:",
    max: 256,
  },
  restartGuard: {
    takes: [true, "trust-new", false],
    says: "What becomes of a master that may have forgotten locks; default true. All clients need the same.",
    default: true,
  },
  clockSkewBudget: {
    takes: "duration",
    says: "By how much the clocks of clients may differ while fencing tokens stay in order; default 5s.",
    default: 5_000,
    // Masters that forget a mark sooner could not keep tokens in order.
    max: RETENTION / 4,
  },
} as const satisfies Record<Exclude<keyof RedlockOptions, "nodes" | "telemetry">, DataOption>;
