import { setPriority } from "node:os";

/** A third of the share that an ordinary process has: with less, such a test runs for hours on a busy machine. */
const PRIORITY = 5;

/** Lets other processes of this machine go first: for tests that only compute, beside those with real servers. */
export function stayInBackground(): void {
  setPriority(PRIORITY);
}
