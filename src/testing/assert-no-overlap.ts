import { AssertionError } from "node:assert";
import { describeValue } from "../sentences.ts";

/** A time during which code ran under a key; `from` and `to` are by one clock, in any unit. */
export interface CriticalSection {
  readonly key: string;
  readonly from: number;
  readonly to: number;
}

/**
 * Asserts that of all recorded sections no two with the same key ran at the same time. One may begin at the moment when
 * another ends.
 * @param history in any order; the error shows further fields of a section too.
 * @throws {AssertionError} which names the two that overlap; also for a section that ends before it begins, and for what is no section.
 * @example assertNoOverlap([{ key: "a", from: 1, to: 3, job: "1" }, { key: "a", from: 2, to: 4, job: "2" }]); // throws
 */
export function assertNoOverlap<S extends CriticalSection>(history: Iterable<S>): void {
  const latest = new Map<string, S>();
  if (!isIterable(history)) {
    throw failure(`expected a list of sections, found ${describeValue(history)}`);
  }
  const sections = [...history];
  for (const section of sections) checkSection(section);
  for (const section of sections.sort((a, b) => a.from - b.from || a.to - b.to)) {
    const { key, from, to } = section;
    if (!(from <= to)) throw failure(`expected from <= to, found ${show(section)}`);
    const before = latest.get(key);
    if (before !== undefined && from < before.to) {
      throw failure(`"${key}": ${show(before)} and ${show(section)} overlap`);
    }
    if (before === undefined || to > before.to) latest.set(key, section);
  }
}

function isIterable(history: unknown): history is Iterable<unknown> {
  return typeof history === "object" && history !== null && Symbol.iterator in history;
}

function checkSection(section: unknown): void {
  const { key, from, to } = Object(section) as Partial<Record<keyof CriticalSection, unknown>>;
  if (typeof key === "string" && typeof from === "number" && typeof to === "number") return;
  const expected = "{ key: a text, from: a number, to: a number }";
  throw failure(`expected ${expected}, found ${JSON.stringify(section) ?? describeValue(section)}`);
}

function show(section: CriticalSection): string {
  return JSON.stringify(section);
}

function failure(message: string): AssertionError {
  return new AssertionError({ message });
}
