import type { Entry } from "./journal.ts";

/** How long after a pause, in ms, a client has time to notice it, where its library tells no end of its locks. */
const WAKING = 50;

/** What the journals of a run show. */
export interface Verdict {
  /** Sections that were entered. */
  grants: number;
  /** Pairs of sections of one key that overlap while the locks of both said that they are held. */
  overlaps: number;
  /**
   * The same, where a client counts as holding for as long as its library had it believe so: also while it was paused,
   * if the library said afterwards that the lock is still held.
   */
  believedOverlaps: number;
  /** Sections whose token was not above those of all sections before. */
  inversions: number;
  /** Late writes that the resource refused by their token. */
  refused: number;
  /** Late writes that landed, because there was no token. */
  landed: number;
  /** Keys that nobody got within the bound after the end of all faults. */
  stuck: string[];
  /** Milliseconds after the end of all faults until every key had been granted; `null` when one never was. */
  freeAfter: number | null;
  late: string[];
  unsettled: string[];
  unhandled: string[];
  unexpected: string[];
  crashes: number;
  /** The first overlaps, in words. */
  examples: string[];
}

interface Section {
  readonly name: string;
  readonly key: string;
  readonly pid: number;
  readonly token: number;
  readonly from: number;
  heldAt: number;
  /** The end that the lock last promised. */
  promised: number | null;
  left: number | undefined;
  lost: number | undefined;
}

interface Span {
  readonly section: Section;
  readonly from: number;
  readonly to: number;
}

/** Judges a run by what its processes wrote down. `bound`: ms until every key must have been granted after the faults. */
export function judge(
  entries: readonly Entry[],
  { keys, bound }: { keys: readonly string[]; bound: number },
): Verdict {
  const sections = gather(entries);
  const claimed = overlapsOf(sections.flatMap((section) => claims(section, entries)));
  const believed = overlapsOf(
    sections.map((section) => {
      const claimedUntil = claims(section, entries).map(({ to }) => to);
      return {
        section,
        from: section.from,
        to: Math.max(section.left ?? section.heldAt, ...claimedUntil),
      };
    }),
  );
  const waits = waitsAfter(
    entries.find((entry) => entry.what === "calm"),
    sections,
    keys,
  );
  const texts = (what: "unhandled" | "unexpected"): string[] =>
    entries.flatMap((entry) => (entry.what === what ? [entry.message] : []));
  const count = (what: Entry["what"]): number =>
    entries.filter((entry) => entry.what === what).length;
  return {
    grants: sections.length,
    overlaps: claimed.length,
    believedOverlaps: believed.length,
    inversions: countInversions(sections) + count("inverted"),
    refused: count("refused"),
    landed: count("landed"),
    stuck: waits.filter(({ wait }) => wait > bound).map(({ key }) => key),
    freeAfter: finite(Math.max(...waits.map(({ wait }) => wait))),
    late: entries.flatMap((entry) =>
      entry.what === "late"
        ? [`${entry.call} took ${Math.round(entry.ms)} ms, bound ${entry.bound}`]
        : [],
    ),
    unsettled: entries.flatMap((entry) => (entry.what === "unsettled" ? [entry.call] : [])),
    unhandled: texts("unhandled"),
    unexpected: texts("unexpected"),
    crashes: count("crashed"),
    examples: claimed.slice(0, 5).map(describe),
  };
}

/** As JSON has it. */
function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** How long it took, after the faults, until each key was granted; nothing of a run that ended with them. */
function waitsAfter(
  calm: { readonly at: number } | undefined,
  sections: readonly Section[],
  keys: readonly string[],
): { key: string; wait: number }[] {
  if (calm === undefined) return [];
  return keys.map((key) => {
    const after = sections.filter((section) => section.key === key && section.from > calm.at);
    return { key, wait: Math.min(...after.map(({ from }) => from - calm.at)) };
  });
}

function gather(entries: readonly Entry[]): Section[] {
  const sections = new Map<string, Section>();
  for (const entry of entries) {
    if (entry.what === "entered") {
      const { section: name, key, pid, token, at, until } = entry;
      sections.set(name, {
        name,
        key,
        pid,
        token,
        from: at,
        heldAt: at,
        promised: until,
        left: undefined,
        lost: undefined,
      });
    } else if (entry.what === "held") {
      const section = sections.get(entry.section);
      if (section === undefined) continue;
      section.heldAt = entry.at;
      section.promised = entry.until;
    } else if (entry.what === "left" || entry.what === "lost") {
      const section = sections.get(entry.section);
      if (section !== undefined) section[entry.what] = entry.at;
    }
  }
  return [...sections.values()].sort((a, b) => a.from - b.from);
}

/** When a section could rely on its lock. */
function claims(section: Section, entries: readonly Entry[]): Span[] {
  const { from, promised, heldAt, pid } = section;
  if (promised !== null) {
    const ends = entries.flatMap((entry) =>
      (entry.what === "killed" || entry.what === "crashed") && entry.pid === pid ? [entry.at] : [],
    );
    const to = Math.min(promised, section.left ?? section.lost ?? Infinity, ...ends);
    return [{ section, from, to }];
  }
  // Nothing was promised: it held when it said so, but for the time in which it could not know.
  let spans: Span[] = [{ section, from, to: section.left ?? heldAt }];
  for (const pause of pausesOf(pid, entries)) {
    spans = spans.flatMap((span) => [
      { ...span, to: Math.min(span.to, pause.from) },
      { ...span, from: Math.max(span.from, pause.to) },
    ]);
  }
  return spans.filter(({ from, to }) => from < to);
}

function pausesOf(pid: number, entries: readonly Entry[]): { from: number; to: number }[] {
  const pauses: { from: number; to: number }[] = [];
  for (const entry of entries) {
    if (entry.what === "stopped" && entry.pid === pid)
      pauses.push({ from: entry.at, to: Infinity });
    const last = pauses.at(-1);
    if (entry.what === "continued" && entry.pid === pid && last !== undefined)
      last.to = entry.at + WAKING;
  }
  return pauses;
}

function overlapsOf(spans: readonly Span[]): [Span, Span][] {
  const overlaps = new Map<string, [Span, Span]>();
  const open = new Map<string, Span[]>();
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const { key, name } = span.section;
    const others = (open.get(key) ?? []).filter(({ to }) => to > span.from);
    for (const other of others) {
      if (other.section !== span.section && span.to > span.from)
        overlaps.set(`${other.section.name} ${name}`, [other, span]);
    }
    open.set(key, [...others, span]);
  }
  return [...overlaps.values()];
}

/** Sections of one key in the order in which they began; 0 is no token. */
function countInversions(sections: readonly Section[]): number {
  const highest = new Map<string, number>();
  let inversions = 0;
  for (const { key, token } of sections) {
    if (token === 0) continue;
    const before = highest.get(key) ?? 0;
    if (token <= before) inversions += 1;
    highest.set(key, Math.max(before, token));
  }
  return inversions;
}

function describe([first, second]: [Span, Span]): string {
  const until = Math.min(first.to, second.to) - second.from;
  return `${second.section.name} held ${second.section.key} for ${until.toFixed(1)} ms together with ${first.section.name}`;
}
