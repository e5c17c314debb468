import type { Deposit } from "./messages.ts";
import type { NewJob } from "./round.ts";

export const DEPOSITS = 400;
export const ACCOUNTS = 40;
/** A customer clicks too often: this many deposits in a row go into the same account, once every `BURST_EVERY` jobs. */
export const BURST = 3;
const BURST_EVERY = 40;

/** Makes the demo's own jobs, the same at each run. */
export function* makeDeposits(): Generator<NewJob> {
  for (let index = 0; index < DEPOSITS; index += 1) {
    const data: Deposit = { account: chooseAccount(index) };
    yield { id: `deposit-${index + 1}`, data };
  }
}

/** Account 0 is the busy one; the other accounts alternate. */
function chooseAccount(index: number): number {
  return index % BURST_EVERY < BURST ? 0 : 1 + (index % (ACCOUNTS - 1));
}
