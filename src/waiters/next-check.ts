import type { Serving } from "./serve-operation.ts";

/** Milliseconds between two checks while a live waiter of this process waits, or while masters are silent. */
export const CHECK_INTERVAL = 1_000;

/** What the watcher of a key does next: checks it at once, without the waiters that are gone, or by a time; `undefined` for nothing. */
export type NextCheck =
  | { readonly kind: "now"; readonly gone: Serving["gone"] }
  | { readonly kind: "by"; readonly at: number }
  | undefined;
