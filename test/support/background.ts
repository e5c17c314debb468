import { setPriority } from "node:os";

/** Lets other processes of this machine go first: for tests that only compute, beside those with real servers. */
export function stayInBackground(): void {
  setPriority(19);
}
