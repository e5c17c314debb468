import type { Random } from "../../src/random.ts";
import type { FaultPlan, Faults } from "./faults.ts";
import type { Host } from "./host.ts";
import type { Server, Wire } from "./network.ts";
import type { Timeline } from "./timeline.ts";

/** What the nemesis can get at. */
export interface Targets {
  readonly servers: readonly Server[];
  /** Those of them that crash or forget. */
  readonly victims: readonly Server[];
  /** The clients of now; killed ones are replaced. */
  readonly clients: readonly { readonly host: Host; readonly wires: readonly Wire[] }[];
  /** Starts a new client after a killed one. */
  replace(index: number): void;
}

/** Most milliseconds for which no client reaches any master. */
const LONGEST_OUTAGE = 100;

/** Makes things go wrong, at random times, until it is stopped; and then mends them. */
export class Nemesis {
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #targets: Targets;
  readonly #faults: Faults;
  readonly #ttl: number;
  #stopped = false;

  constructor(timeline: Timeline, random: Random, targets: Targets, faults: Faults, ttl: number) {
    this.#timeline = timeline;
    this.#random = random;
    this.#targets = targets;
    this.#faults = faults;
    this.#ttl = ttl;
  }

  start(plan: FaultPlan): void {
    const { servers, victims } = this.#targets;
    this.#every(plan.freeze, "freeze", () => {
      const server = this.#pick(servers);
      server.freeze();
      this.#later(3 * this.#ttl, () => server.thaw());
    });
    this.#every(plan.sweep, "flush", () => this.#sweep());
    this.#every(plan.crashKeep, "crash with memory", () => this.#crash(() => "all"));
    this.#every(plan.crashEmpty, "crash without memory", () => this.#crash(() => "nothing"));
    this.#every(plan.crashPartial, "crash with old memory", () => {
      const server = this.#pick(victims);
      const old = server.master.snapshot();
      this.#timeline.in(this.#ttl * this.#random.fraction(), () =>
        this.#crash(() => () => server.master.restore(old), server),
      );
    });
    this.#every(plan.failback, "failover to a copy and back", () => {
      const { master } = this.#pick(victims);
      const copy = master.snapshot();
      this.#timeline.in(this.#ttl * this.#random.fraction(), () => {
        if (this.#stopped) return;
        master.follow(copy);
        this.#later(this.#ttl / 2, () => master.promote());
      });
    });
    this.#every(plan.flush, "flush", () => this.#pick(victims).master.wipe());
    this.#every(plan.partition, "partition of a wire", () => {
      const wire = this.#pick(this.#pick(this.#targets.clients).wires);
      wire.cut = true;
      this.#later(3 * this.#ttl, () => {
        wire.cut = false;
      });
    });
    this.#every(plan.strand, "half-open connections", () => {
      const { clients } = this.#targets;
      // A firewall that forgets all it knew, before one client or before the masters.
      const forgotten = this.#random.fraction() < 0.5 ? [this.#pick(clients)] : clients;
      for (const { wires } of forgotten) for (const wire of wires) wire.strand();
    });
    this.#every(plan.outage, "outage", () => {
      const wires = this.#targets.clients.flatMap((client) => client.wires);
      for (const wire of wires) wire.cut = true;
      this.#later(LONGEST_OUTAGE, () => {
        for (const wire of wires) wire.cut = false;
      });
    });
    this.#every(plan.pause, "pause", () => this.#nap((host) => host.pause()));
    this.#every(plan.suspend, "suspend", () => this.#nap((host) => host.suspend()));
    this.#every(plan.kill, "kill", () => {
      const index = Math.floor(this.#random.fraction() * this.#targets.clients.length);
      this.#targets.clients[index]?.host.kill();
      this.#timeline.in(this.#ttl * this.#random.fraction(), () => this.#targets.replace(index));
    });
    this.#every(plan.wallStep, "wall step", () => {
      this.#pick(this.#targets.clients).host.stepWall((this.#random.fraction() - 0.5) * 20_000);
    });
    this.#every(plan.masterStepBack, "master's clock back", () => {
      this.#pick(servers).stepClock(-2 * this.#ttl * this.#random.fraction());
    });
    this.#every(plan.masterStepForward, "master's clock forward", () => {
      this.#pick(victims).stepClock(2 * this.#ttl * this.#random.fraction());
    });
  }

  /** No more faults; everything that is broken is mended. */
  stop(): void {
    this.#stopped = true;
    this.#faults.end();
    for (const server of this.#targets.servers) {
      if (!server.up) server.restart("all");
      server.master.promote();
      server.thaw();
    }
    for (const { host, wires } of this.#targets.clients) {
      if (host.paused) host.resume();
      for (const wire of wires) wire.cut = false;
    }
  }

  /** All victims forget; other masters, and all clients but a new one, are silent for longer than a quarantine. */
  #sweep(): void {
    const { servers, victims, clients } = this.#targets;
    const silence = 2.5 * this.#ttl;
    for (const { master } of victims) master.wipe();
    for (const server of servers.filter((each) => !victims.includes(each))) {
      server.freeze();
      this.#timeline.in(silence, () => server.thaw());
    }
    for (const { host } of clients.slice(1)) {
      if (host.paused) continue;
      host.pause();
      this.#timeline.in(silence, () => host.resume());
    }
    clients[0]?.host.kill();
    this.#targets.replace(0);
  }

  #crash(
    memory: () => "all" | "nothing" | (() => void),
    server = this.#pick(this.#targets.victims),
  ): void {
    if (this.#stopped || !server.up) return;
    server.crash();
    this.#later(this.#ttl / 2, () => server.restart(memory()));
  }

  #nap(sleep: (host: Host) => void): void {
    const { host } = this.#pick(this.#targets.clients);
    if (host.paused || host.dead) return;
    sleep(host);
    this.#later(3 * this.#ttl, () => host.resume());
  }

  #every(mean: number, kind: string, strike: () => void): void {
    if (mean === Infinity) return;
    const wait = -Math.log(1 - this.#random.fraction()) * mean;
    this.#timeline.in(wait, () => {
      if (this.#stopped) return;
      this.#faults.count(kind);
      strike();
      this.#every(mean, kind, strike);
    });
  }

  #later(upTo: number, mend: () => void): void {
    this.#timeline.in(upTo * this.#random.fraction(), () => {
      if (!this.#stopped) mend();
    });
  }

  #pick<T>(from: readonly T[]): T {
    const picked = from[Math.floor(this.#random.fraction() * from.length)];
    if (picked === undefined) throw new Error("nothing to pick from");
    return picked;
  }
}
