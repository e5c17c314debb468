import { seededRandom } from "../support/simulated-redlock.ts";

/** What goes wrong with a master. */
export const MASTER_FAULTS = {
  freeze: 6,
  "kill, keep data": 3,
  "kill, lose data": 1,
  FLUSHALL: 1,
  "SCRIPT FLUSH": 2,
  "fill up": 2,
  demote: 1,
  "fail over to a copy and back": 2,
};
/** What goes wrong between a worker process and a master. */
export const LINK_FAULTS = {
  delay: 4,
  cut: 4,
  "half-close towards the master": 2,
  "half-close towards the client": 2,
  "lose replies": 3,
  "lose requests": 3,
  "hold requests": 2,
  "hold replies": 2,
  strand: 1,
  "tear a reply": 3,
};
/** What goes wrong with a worker process. */
export const WORKER_FAULTS = { stop: 5, kill: 2, deploy: 2 };

export type FaultKind =
  | keyof typeof MASTER_FAULTS
  | keyof typeof LINK_FAULTS
  | keyof typeof WORKER_FAULTS;

/** One thing that goes wrong. */
export interface Fault {
  readonly kind: FaultKind;
  /** Milliseconds after the beginning. */
  readonly at: number;
  /** Milliseconds after which it is mended, where it lasts. */
  readonly ms: number;
  readonly master?: number;
  readonly worker?: number;
}

/** What there is to break, and for how long. */
export interface Terms {
  readonly masters: number;
  readonly workers: number;
  /** Milliseconds. */
  readonly ms: number;
  /** Milliseconds from one sweep, in which most masters lose their memory, to the next. */
  readonly sweepEvery: number;
}

/** Most masters that are in trouble at once: a minority, and now and then one more for a short time. */
const IN_TROUBLE = 2;
const SHORT_TROUBLE = 600;
/** The first sweep comes early, so that a short run has one. */
const FIRST_SWEEP = 1_500;
/** Between the masters of a sweep, in ms. */
const SWEEP_PACE = 100;
/** For so long, in ms, nothing else happens to masters after a sweep: most of them are in quarantine. */
const AFTER_SWEEP = 2_000;

/** Draws what goes wrong when: the same for the same seed. */
export function makeSchedule(seed: number, terms: Terms): Fault[] {
  const random = seededRandom(seed * 7_919 + 17);
  const chance = (): number => random.fraction();
  const sweeps = drawSweeps(chance, terms);
  const faults = [
    ...sweeps,
    ...drawMasterFaults(chance, terms, sweeps),
    ...drawLinkFaults(chance, terms),
    ...drawWorkerFaults(chance, terms),
  ];
  return faults.sort((a, b) => a.at - b.at);
}

type Chance = () => number;

/** Most masters lose their memory, one after the other: what the guard is there for. */
function drawSweeps(chance: Chance, { masters, ms, sweepEvery }: Terms): Fault[] {
  const faults: Fault[] = [];
  for (let at = FIRST_SWEEP; at < ms; at += sweepEvery) {
    // One keeps its memory: nobody can tell a set that has forgotten everything at once from a new one.
    const order = shuffled(chance, masters).slice(0, masters - 1);
    for (const [index, master] of order.entries()) {
      const kind = chance() < 0.5 ? "FLUSHALL" : "kill, lose data";
      faults.push({ kind, at: at + index * SWEEP_PACE, ms: 0, master });
    }
  }
  return faults;
}

function drawMasterFaults(chance: Chance, terms: Terms, sweeps: readonly Fault[]): Fault[] {
  const faults: Fault[] = [];
  const troubledUntil = Array.from({ length: terms.masters }, () => 0);
  for (let at = 300; at < terms.ms; at += 150 + chance() * 600) {
    const kind = pickWeighted(chance, MASTER_FAULTS);
    const troubled = troubledUntil.filter((until) => until > at).length;
    const isShort = chance() < 0.1;
    const ms = isShort ? SHORT_TROUBLE * chance() : lasting(chance);
    const master = Math.floor(chance() * terms.masters);
    const swept = sweeps.some((sweep) => at + ms > sweep.at - 500 && at < sweep.at + AFTER_SWEEP);
    if (swept || troubled >= IN_TROUBLE + (isShort ? 1 : 0)) continue;
    if ((troubledUntil[master] ?? 0) > at) continue;
    // It starts again, or arms its guard, before the next thing happens to it.
    troubledUntil[master] = at + ms + 700;
    faults.push({ kind, at, ms, master });
  }
  return faults;
}

function drawLinkFaults(chance: Chance, { masters, workers, ms }: Terms): Fault[] {
  const faults: Fault[] = [];
  for (let at = 200; at < ms; at += 40 + chance() * 240) {
    faults.push({
      kind: pickWeighted(chance, LINK_FAULTS),
      at,
      ms: lasting(chance),
      master: Math.floor(chance() * masters),
      worker: Math.floor(chance() * workers),
    });
  }
  return faults;
}

function drawWorkerFaults(chance: Chance, { workers, ms }: Terms): Fault[] {
  const faults: Fault[] = [];
  const busyUntil = Array.from({ length: workers }, () => 0);
  for (let at = 500; at < ms; at += 300 + chance() * 900) {
    const kind = pickWeighted(chance, WORKER_FAULTS);
    const worker = Math.floor(chance() * workers);
    const length = kind === "stop" ? 50 + chance() * chance() * 3_000 : 0;
    // The successor of a process takes a while until it works.
    if ((busyUntil[worker] ?? 0) > at) continue;
    busyUntil[worker] = at + (kind === "stop" ? length + 200 : 3_000);
    faults.push({ kind, at, ms: length, worker });
  }
  return faults;
}

/** Mostly short, now and then longer than a ttl. */
function lasting(chance: Chance): number {
  return 30 + chance() * chance() * 1_800;
}

function pickWeighted<Kind extends string>(chance: Chance, weights: Record<Kind, number>): Kind {
  const entries = Object.entries<number>(weights);
  const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
  let left = chance() * total;
  const picked = entries.find(([, weight]) => (left -= weight) < 0) ?? entries[0];
  return picked?.[0] as Kind;
}

function shuffled(chance: Chance, count: number): number[] {
  return Array.from({ length: count }, (_, index) => ({ index, rank: chance() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ index }) => index);
}
