import type { DataOption } from "../data-option.ts";
import type { RedlockOptions } from "./options.ts";

/** The options of a `Redlock` that are data, but for the masters. A rules file takes these at its top. */
export const REDLOCK_DATA_OPTIONS = {
  ttl: { takes: "duration", says: "How long a lock lives when nobody extends it; default 15s." },
  maxTtl: { takes: "duration", says: "The longest ttl that a rule may have; default the ttl." },
  heartbeat: {
    takes: "duration or false",
    says: "Between two extends of a held lock; default a third of the ttl.",
  },
  nodeTimeout: {
    takes: "duration",
    says: "How long one master has to answer; default a twentieth of the ttl, 50ms to 1s.",
  },
  driftFactor: {
    takes: "ratio",
    says: "By how much the clocks of masters and clients may differ in speed; default 0.01.",
  },
  prefix: {
    takes: "text",
    says: 'Put before every key that is stored; default "redlock:". All programs that share locks need the same.',
  },
  restartGuard: {
    takes: [true, "trust-new", false],
    says: "What becomes of a master that may have forgotten locks; default true. All clients need the same.",
  },
  clockSkewBudget: {
    takes: "duration",
    says: "By how much the clocks of clients may differ while fencing tokens stay in order; default 5s.",
  },
} as const satisfies Record<Exclude<keyof RedlockOptions, "nodes" | "telemetry">, DataOption>;
