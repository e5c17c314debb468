// The twins of the Lua functions on the records of waiters, in `waiters/wait-list-lua.ts`.

/** How many holders the waiter allows. */
export function limitOf(record: string): number {
  return Number(/^[^@]*\/(\d+)@/.exec(record)?.[1] ?? 1);
}

/** The record of a waiter for a key with a limit. */
export function withLimit(record: string, limit: number): string {
  return limit > 1 ? record.replace("@", `/${limit}@`) : record;
}

/** Whether a record is that of a live waiter. */
export function isLive(record: string | undefined): boolean {
  return record?.startsWith("l") === true;
}

/** The run in a record. */
export function runOf(record: string): number {
  return Number(/^[a-z]+(\d+)/.exec(record)?.[1] ?? 0);
}
