import { type Clock, SuspendAwareClock, type Timer } from "../../src/clock.ts";
import type { Event, Timeline } from "./timeline.ts";

/** How the clocks of a machine are wrong. */
export interface ClockFault {
  /** Speed against true time. */
  readonly rate: number;
  /** Milliseconds its wall clock is ahead. */
  readonly wallOffset: number;
}

interface HostTimer {
  readonly run: () => void;
  /** When it is due, by the monotonic clock. */
  readonly due: number;
  event: Event | undefined;
}

/**
 * One machine with one process. Its clocks may be wrong; the process may be paused (SIGSTOP: the clocks go on),
 * suspended (a virtual machine: the monotonic clock and its timers stand still), or killed.
 */
export class Host implements Clock {
  readonly #timeline: Timeline;
  readonly #clockFault: ClockFault;
  readonly #clock: SuspendAwareClock;
  readonly #timers = new Set<HostTimer>();
  /** What came due while the process was paused. */
  #backlog: (() => void)[] = [];
  #paused = false;
  #dead = false;
  #suspended = 0;
  #suspendedAt: number | undefined;
  #wallStep = 0;

  constructor(timeline: Timeline, clockFault: ClockFault) {
    this.#timeline = timeline;
    this.#clockFault = clockFault;
    this.#clock = new SuspendAwareClock(
      () => this.#monotonic(),
      () => this.wall(),
    );
  }

  get dead(): boolean {
    return this.#dead;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** What the process has seen so far: answers, messages, and timers that fired. */
  steps = 0;
  /** When it died, in ms. */
  diedAt = Infinity;
  /** The process dies instead of this step. */
  diesAt = Infinity;
  /** Closes each of its connections: a server sees that the process has died. */
  readonly connections: (() => void)[] = [];
  /** Called when it has died. */
  onDeath: () => void = () => {};
  /** At this step the process begins to close. */
  closesAt = Infinity;
  onClose: () => void = () => {};

  /** How often the process was paused or suspended so far. */
  naps = 0;

  now(): number {
    return this.#clock.now();
  }

  wall(): number {
    const { rate, wallOffset } = this.#clockFault;
    return this.#timeline.now * rate + 1_700_000_000_000 + wallOffset + this.#wallStep;
  }

  timer(ms: number, run: () => void): Timer {
    const timer: HostTimer = { run, due: this.#monotonic() + Math.max(0, ms), event: undefined };
    this.#timers.add(timer);
    this.#schedule(timer);
    return timer;
  }

  clearTimer(timer: Timer | undefined): void {
    const known = timer as HostTimer | undefined;
    if (known === undefined || !this.#timers.delete(known)) return;
    if (known.event !== undefined) this.#timeline.cancel(known.event);
  }

  /** Lets the process see something: now, when it wakes up, or never. */
  deliver(run: () => void): void {
    if (this.#dead) return;
    if (this.#paused) {
      this.#backlog.push(run);
      return;
    }
    this.steps += 1;
    if (this.steps === this.closesAt) this.onClose();
    if (this.steps === this.diesAt) this.kill();
    else run();
  }

  pause(): void {
    this.naps += 1;
    this.#paused = true;
  }

  suspend(): void {
    this.#suspendedAt ??= this.#timeline.now;
    this.naps += 1;
    this.#paused = true;
    for (const { event } of this.#timers) if (event !== undefined) this.#timeline.cancel(event);
  }

  /** Ends a pause or a suspension. */
  resume(): void {
    this.#paused = false;
    if (this.#suspendedAt !== undefined) {
      this.#suspended += this.#timeline.now - this.#suspendedAt;
      this.#suspendedAt = undefined;
      for (const timer of this.#timers) this.#schedule(timer);
    }
    const backlog = this.#backlog;
    this.#backlog = [];
    // Each as a task of its own, as in an event loop: promise jobs run in between.
    for (const run of backlog) this.#timeline.in(0, () => this.deliver(run));
  }

  /**
   * Steps the wall clock. The process reads its clocks before it can be suspended: a step back and a suspension
   * between two readings cancel each other out, and nothing local shows it. That is a limit, stated in
   * `docs/guarantees.md`.
   */
  stepWall(ms: number): void {
    if (this.#paused) return;
    this.#wallStep += ms;
    this.now();
  }

  kill(): void {
    this.diedAt = Math.min(this.diedAt, this.#timeline.now);
    this.#dead = true;
    this.#backlog = [];
    for (const timer of this.#timers) this.clearTimer(timer);
    for (const close of this.connections) close();
    this.onDeath();
  }

  #schedule(timer: HostTimer): void {
    const ms = (timer.due - this.#monotonic()) / this.#clockFault.rate;
    timer.event = this.#timeline.in(ms, () =>
      this.deliver(() => {
        if (this.#timers.delete(timer)) timer.run();
      }),
    );
  }

  /** What CLOCK_MONOTONIC says. */
  #monotonic(): number {
    const asleep = this.#suspendedAt === undefined ? 0 : this.#timeline.now - this.#suspendedAt;
    return (this.#timeline.now - this.#suspended - asleep) * this.#clockFault.rate + 1_000_000;
  }
}
