import type { ExplainedJob, LockRule, LockRules } from "../../../src/config/index.ts";

/** A job, and what the rules make of it. */
export interface Sample {
  readonly job: Partial<ExplainedJob>;
  /** The keys it locks; null without a lock; a text that names what no key can be made of. */
  readonly keys: readonly string[] | null | string;
  /** Options that count for it. */
  readonly with?: Readonly<Record<string, unknown>>;
}

/** A setting of another system, written as rules. */
export interface Setting {
  /** What it is for. */
  readonly what: string;
  /** The repository or the page that has it. */
  readonly from: string;
  readonly top?: Partial<LockRules>;
  readonly rules: readonly LockRule[];
  readonly samples: readonly Sample[];
}
