import { setTimeout as delay } from "node:timers/promises";
import type { Hold } from "../../bench/src/contender.ts";
import { type Journal, monotonic } from "./journal.ts";
import type { RemoteResource, Use } from "./resource.ts";

/** Milliseconds between two looks at a lock. */
const LOOK_EVERY = 20;

/** Uses the resource under locks, and writes down what they said meanwhile. */
export class Sections {
  readonly #resource: RemoteResource;
  readonly #journal: Journal;
  #count = 0;

  constructor(resource: RemoteResource, journal: Journal) {
    this.#resource = resource;
    this.#journal = journal;
  }

  /** Works for `ms` milliseconds under a lock, if that is still held. */
  async work(key: string, hold: Hold, ms: number): Promise<void> {
    const section = `${process.pid}:${(this.#count += 1)}`;
    const token = hold.fencingToken ?? 0;
    let lost = false;
    /** Notes what the lock says: a time at which it was held, taken before it was asked. */
    const look = (): void => {
      if (lost) return;
      const at = monotonic();
      const until = endOf(hold, at);
      lost = hold.lost;
      this.#journal.write(
        lost ? { what: "lost", section, at } : { what: "held", section, at, until },
      );
    };
    const write = async (verb: Use["verb"]): Promise<void> => {
      const answer = await this.#resource.use({ verb, key, section, token });
      look();
      if (answer === "late" && token !== 0 && !lost)
        this.#journal.write({ what: "inverted", section });
    };

    const at = monotonic();
    const until = endOf(hold, at);
    // It may have ended before its user came to see it.
    if (hold.lost) return;
    this.#journal.write({ what: "entered", section, key, pid: process.pid, token, at, until });
    const looks = setInterval(look, LOOK_EVERY);
    await write("claim");
    await delay(ms);
    // Without asking the lock: a process that was paused does just this.
    await write("write");
    clearInterval(looks);
    const doneAt = monotonic();
    if (!lost) this.#journal.write({ what: hold.lost ? "lost" : "left", section, at: doneAt });
  }
}

/** Mostly short, sometimes longer than a ttl. */
export function drawWork(ttl: number): number {
  return Math.random() < 0.9 ? Math.random() * 25 : Math.random() * 2.2 * ttl;
}

/** Until when the lock is held, whatever happens; `null` when the library does not tell. */
function endOf(hold: Hold, at: number): number | null {
  return hold.remaining === undefined ? null : at + hold.remaining();
}
