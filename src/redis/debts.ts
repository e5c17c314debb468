import type { AnyCall } from "./operation.ts";

/** How many calls are owed at most; the oldest are forgotten first. */
const MOST = 1_000;
/** For how many ms a call is owed: what it frees has ended by itself then. */
const LONGEST = 60_000;

/** Calls to be made up for when there is a connection again. */
export class Debts {
  #debts: { readonly call: AnyCall; readonly until: number }[] = [];

  add(call: AnyCall, now: number): void {
    this.#debts.push({ call, until: now + LONGEST });
    if (this.#debts.length > MOST) this.#debts.shift();
  }

  /** What is owed, in the order in which it was added; from now on nothing is. */
  settle(now: number): AnyCall[] {
    const due = this.#debts.filter(({ until }) => until > now);
    this.#debts = [];
    return due.map(({ call }) => call);
  }
}
