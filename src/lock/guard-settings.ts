import { LONGEST_TTL } from "./stored-lock.ts";

/** The settings of the guards. */
export interface GuardSettings {
  /** `"trust-new"` trusts a wholly new set of masters whatever its uptime; `false` votes without guards. */
  readonly mode: boolean | "trust-new";
  /** Milliseconds: the longest ttl this client may ask for. */
  readonly maxTtl: number;
  readonly driftFactor: number;
  readonly nodeTimeout: number;
  /** Milliseconds by which clients' clocks may differ for tokens to stay in order after a loss of all marks. */
  readonly clockSkewBudget: number;
}

/**
 * How long a master that lost its memory gives no vote: until the longest lock is over by the slowest clock, plus what
 * keeps tokens in order although the marks are gone.
 */
export function quarantineOf(
  longestTtl: number,
  { driftFactor, nodeTimeout, clockSkewBudget }: GuardSettings,
): number {
  // @protection a quarantine longer than the longest ttl
  return Math.ceil(longestTtl * (1 + 2 * driftFactor)) + nodeTimeout + clockSkewBudget;
}

/** For how long a master waits for one that knows the longest ttl; tests and development expect none but their own. */
export function patienceOf(longestTtl: number, settings: GuardSettings): number {
  // @protection waiting for a master that knows the longest ttl
  if (settings.mode === "trust-new") return quarantineOf(longestTtl, settings);
  return quarantineOf(LONGEST_TTL, settings);
}
