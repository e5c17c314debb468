import type { Timeline } from "./timeline.ts";

/** How a resource checks fencing tokens. */
export type Discipline = "none" | "at the write" | "claim before reading";

interface Row {
  value: number;
  fence: number;
}

/**
 * A counter in a database that many jobs increment by reading and writing. An acknowledged increment that is missing
 * in the end is a lost update. The same increments go to one counter for each discipline.
 */
export class Resource {
  readonly #timeline: Timeline;
  readonly #rows = new Map<string, Row>();
  readonly lost: Record<Discipline, number> = {
    none: 0,
    "at the write": 0,
    "claim before reading": 0,
  };
  writes = 0;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** Reads the counters, with a claim where the discipline has one. */
  read(key: string, token: number): Record<Discipline, number | undefined> {
    const claimed = this.#row(key, "claim before reading");
    const mayClaim = claimed.fence < token;
    if (mayClaim) claimed.fence = token;
    return {
      none: this.#row(key, "none").value,
      "at the write": this.#row(key, "at the write").value,
      "claim before reading": mayClaim ? claimed.value : undefined,
    };
  }

  /** Sends the writes of an increment on their way; each arrives after a delay of its own. */
  write(
    key: string,
    token: number,
    read: Record<Discipline, number | undefined>,
    delay: number,
  ): void {
    this.#timeline.in(delay, () => {
      this.writes += 1;
      this.#commit(key, "none", read.none, () => true);
      this.#commit(key, "at the write", read["at the write"], (row) => {
        if (row.fence > token) return false;
        row.fence = token;
        return true;
      });
      const claimed = read["claim before reading"];
      this.#commit(key, "claim before reading", claimed, (row) => row.fence === token);
    });
  }

  #commit(
    key: string,
    discipline: Discipline,
    read: number | undefined,
    admits: (row: Row) => boolean,
  ): void {
    const row = this.#row(key, discipline);
    if (read === undefined || !admits(row)) return;
    // A write since the read has been overwritten.
    if (row.value !== read) this.lost[discipline] += Math.abs(row.value - read);
    row.value = read + 1;
  }

  #row(key: string, discipline: Discipline): Row {
    const name = `${discipline} ${key}`;
    let row = this.#rows.get(name);
    if (row === undefined) this.#rows.set(name, (row = { value: 0, fence: 0 }));
    return row;
  }
}
