import type { Clock } from "../clock.ts";
import { pause } from "../pause.ts";
import { permitted, type Probe } from "./probe.ts";

/** A server's clock, as seen from here. Milliseconds. */
export interface ClockFacts {
  /** Median of a few round trips. */
  readonly roundTrip: number;
  /** By how much the server's clock is ahead of ours. */
  readonly offset: number;
  /** By how much `offset` may be wrong. */
  readonly uncertainty: number;
  /** `undefined` when it was not observed for long enough. */
  readonly frozen: boolean | undefined;
}

/** How long a clock is observed. Some servers' clock stands still for the length of a command. */
const CLOCK_OBSERVATION = 1_000;
const CLOCK_SAMPLES = 5;

interface TimeSample {
  readonly sentAt: number;
  readonly receivedAt: number;
  /** Milliseconds since 1970 by the server's clock. */
  readonly server: number;
  /** The same by ours, in the middle of the round trip. */
  readonly ours: number;
}

/** Observes the server's clock: calls `note` first with the offset, and a second later with whether the clock moves. */
export async function observeClock(
  { probe, clock, ended }: { probe: Probe; clock: Clock; ended: AbortSignal },
  note: (facts: ClockFacts) => void,
): Promise<void> {
  const samples: TimeSample[] = [];
  for (let i = 0; i < CLOCK_SAMPLES; i++) {
    const sample = await permitted(() => askTime(probe, clock));
    if (sample === undefined) return;
    samples.push(sample);
  }
  const byRoundTrip = samples.toSorted((a, b) => roundTripOf(a) - roundTripOf(b));
  const [best] = byRoundTrip;
  const median = byRoundTrip[Math.floor(CLOCK_SAMPLES / 2)];
  const [first] = samples;
  if (first === undefined || best === undefined || median === undefined) return;
  const facts: ClockFacts = {
    roundTrip: roundTripOf(median),
    offset: best.server - best.ours,
    // The wall clock has whole milliseconds.
    uncertainty: roundTripOf(best) / 2 + 1,
    frozen: undefined,
  };
  note(facts);
  await pause(clock, CLOCK_OBSERVATION, ended);
  const last = await askTime(probe, clock);
  const passed = last.sentAt - first.receivedAt;
  note({ ...facts, frozen: last.server - first.server < passed / 2 });
}

async function askTime(probe: Probe, clock: Clock): Promise<TimeSample> {
  return await probe.ask(async (client) => {
    const sentAt = clock.now();
    const wall = clock.wall();
    const [seconds, microseconds] = await client.time();
    const receivedAt = clock.now();
    return {
      sentAt,
      receivedAt,
      server: Number(seconds) * 1_000 + Number(microseconds) / 1_000,
      ours: wall + (receivedAt - sentAt) / 2,
    };
  });
}

function roundTripOf({ sentAt, receivedAt }: TimeSample): number {
  return receivedAt - sentAt;
}
