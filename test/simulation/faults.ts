/** What may go wrong, and how often it did. Rates are probabilities of a message, `mean...` are ms between two events. */
export interface FaultPlan {
  loss: number;
  duplication: number;
  slow: number;
  /** How many times as far away the masters are: a message is under way for 0.2 to 2.2 ms otherwise. No fault, and has no end. */
  distance: number;
  /** Mean time between two faults of each kind over the whole system; Infinity for never. */
  freeze: number;
  crashKeep: number;
  crashEmpty: number;
  crashPartial: number;
  flush: number;
  /** All victims are flushed while every master that knows what they have forgotten is silent. */
  sweep: number;
  /** A master becomes a replica of a copy of itself, and is promoted again. */
  failback: number;
  partition: number;
  /** All connections of a client, or of all, forgotten on the way without a word. */
  strand: number;
  /** All wires at once, for a moment. */
  outage: number;
  pause: number;
  suspend: number;
  kill: number;
  wallStep: number;
  /** Masters' clocks stepping backwards. */
  masterStepBack: number;
  /** Masters' clocks stepping forwards: beyond what is guaranteed. */
  masterStepForward: number;
  /** Rates of clocks differ by up to this part. */
  drift: number;
  /** Clients' wall clocks differ by up to so many ms. */
  wallSpread: number;
}

/** Nothing goes wrong. */
export const NO_FAULTS: FaultPlan = {
  loss: 0,
  duplication: 0,
  slow: 0,
  distance: 1,
  freeze: Infinity,
  crashKeep: Infinity,
  crashEmpty: Infinity,
  crashPartial: Infinity,
  flush: Infinity,
  sweep: Infinity,
  failback: Infinity,
  partition: Infinity,
  strand: Infinity,
  outage: Infinity,
  pause: Infinity,
  suspend: Infinity,
  kill: Infinity,
  wallStep: Infinity,
  masterStepBack: Infinity,
  masterStepForward: Infinity,
  drift: 0,
  wallSpread: 0,
};

/** The faults in force, and their count. */
export class Faults {
  loss: number;
  duplication: number;
  slow: number;
  readonly distance: number;
  readonly counts = new Map<string, number>();
  /** Messages so far. */
  messages = 0;
  /** The message that is held back, and for how many ms. */
  heldBack: { readonly message: number; readonly ms: number } | undefined;

  constructor(plan: FaultPlan) {
    this.loss = plan.loss;
    this.duplication = plan.duplication;
    this.slow = plan.slow;
    this.distance = plan.distance;
  }

  count(kind: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }

  /** For how many ms the next message is held back: 0 for most. */
  holdBack(): number {
    this.messages += 1;
    return this.messages === this.heldBack?.message ? this.heldBack.ms : 0;
  }

  /** From here on the network is perfect. */
  end(): void {
    this.loss = 0;
    this.duplication = 0;
    this.slow = 0;
  }
}
