import type { Lock } from "../../src/lock/lock.ts";
import type { Host } from "./host.ts";
import type { Timeline } from "./timeline.ts";

interface Hold {
  readonly lock: Lock;
  readonly host: Host;
  /** True until its user has done everything it does under the lock. */
  working: boolean;
  /** How often its process had slept when the lock was granted. */
  readonly naps: number;
}

/** What a run may not show. */
export type Violation =
  /** Two processes claim to hold a key at the same time. */
  | "overlap"
  /** A holder has a slot that its limit does not allow. */
  | "beyond the limit"
  /** A job still worked under its lock when the next one began, although it obeyed its signal. */
  | "working overlap"
  | "token order"
  | "late abort"
  | "stuck key"
  | "unsettled"
  | "false conflict";

/** Sees everything, at the true time. */
export class Oracle {
  readonly violations = new Map<Violation, number>();
  readonly examples: string[] = [];
  grants = 0;
  conflicts = 0;
  unavailable = 0;
  lost = 0;
  /** When the violation came at which the run ends, in ms. */
  haltedAt: number | undefined;
  readonly #timeline: Timeline;
  readonly #until: Violation | undefined;
  readonly #holds = new Map<string, Set<Hold>>();
  readonly #tokens = new Map<string, number>();

  /** @param until the violation at which the run ends, if any. */
  constructor(timeline: Timeline, until?: Violation) {
    this.#timeline = timeline;
    this.#until = until;
  }

  /** A client was granted a lock. */
  granted(key: string, lock: Lock, host: Host): Hold {
    this.grants += 1;
    const holds = this.#holdsOf(key);
    for (const other of holds) {
      if (other.host.dead) holds.delete(other);
      else if (other.lock.held)
        this.report("overlap", `${key}: ${other.lock.fencingToken}, then ${lock.fencingToken}`);
      // A process that slept through the end of its lock can not have stopped in time.
      else if (other.working && other.naps === other.host.naps) this.report("working overlap", key);
    }
    const last = this.#tokens.get(key) ?? 0;
    if (lock.fencingToken <= last)
      this.report("token order", `${key}: ${last}, then ${lock.fencingToken}`);
    this.#tokens.set(key, Math.max(last, lock.fencingToken));
    const hold: Hold = { lock, host, working: true, naps: host.naps };
    holds.add(hold);
    return hold;
  }

  /** A client's lock was prolonged: it must not live beside another. */
  extended(key: string): void {
    const live = [...this.#holdsOf(key)].filter(({ host, lock }) => !host.dead && lock.held);
    if (live.length > 1) this.report("overlap", `${key}: after an extend`);
  }

  /** The user is about to give the lock back. */
  finished(key: string, hold: Hold): void {
    hold.working = false;
    this.#holdsOf(key).delete(hold);
  }

  report(violation: Violation, record: string): void {
    if (violation === this.#until) {
      this.haltedAt ??= this.#timeline.now;
      this.#timeline.halt();
    }
    this.violations.set(violation, (this.violations.get(violation) ?? 0) + 1);
    if (this.examples.length < 5) {
      this.examples.push(`${violation} at ${this.#timeline.now.toFixed(1)}: ${record}`);
    }
  }

  #holdsOf(key: string): Set<Hold> {
    let holds = this.#holds.get(key);
    if (holds === undefined) this.#holds.set(key, (holds = new Set()));
    return holds;
  }
}
