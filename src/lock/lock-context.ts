import type { Clock } from "../clock.ts";
import type { Random } from "../random.ts";
import type { Guards } from "./guard.ts";
import type { Masters } from "./masters.ts";
import type { Refusals } from "./refusals.ts";
import type { SlotChoice } from "./slot-choice.ts";
import type { Names } from "./stored-lock.ts";
import type { TokenSource } from "./tokens.ts";

/** What the locks of one client share. */
export interface LockContext {
  readonly masters: Masters;
  readonly guards: Guards;
  readonly tokens: TokenSource;
  /** For keys that are split: resolves when the attempt of this client that leads has ended; see `SplitBackoff`. */
  readonly splitLeaders: Map<string, Promise<void>>;
  readonly names: Names;
  readonly clock: Clock;
  readonly random: Random;
  readonly slotChoice: SlotChoice;
  readonly refusals: Refusals;
  /** Another client uses a key with another limit than this one. */
  onOtherLimit(found: { readonly key: string; readonly limit: number }): void;
  readonly driftFactor: number;
  readonly nodeTimeout: number;
  /** Names this process in wait lists. */
  readonly process: string;
}
