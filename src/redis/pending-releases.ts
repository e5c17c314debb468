import type { AnyRequest } from "./operation.ts";

/** How many calls are owed at most; the oldest are forgotten first. */
const MOST = 1_000;
/** For how many ms a call is owed: what it frees has ended by itself then. */
const LONGEST = 60_000;

/** Calls to be made up for when there is a connection again. */
export class PendingReleases {
  #pendingReleases: { readonly call: AnyRequest; readonly until: number }[] = [];

  add(call: AnyRequest, now: number): void {
    this.#pendingReleases.push({ call, until: now + LONGEST });
    if (this.#pendingReleases.length > MOST) this.#pendingReleases.shift();
  }

  /** What is owed, in the order in which it was added; from now on nothing is. */
  settle(now: number): AnyRequest[] {
    const due = this.#pendingReleases.filter(({ until }) => until > now);
    this.#pendingReleases = [];
    return due.map(({ call }) => call);
  }
}
