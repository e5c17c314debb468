import type { Holder } from "../errors.ts";
import type { StoredLock } from "../lock/stored.ts";
import { proposedAt } from "../lock/tokens.ts";

/** What ends the text that a job stores: it tells jobs apart, and says nothing to people. */
const MARK = /(?<=\)) #[\w-]{12}$/;

const stored = new WeakMap<Holder, string>();

/** Says who is behind a stored value. */
export function toHolder({ token, text, kept }: StoredLock): Holder {
  const holder: Holder = {
    text: text && withoutMark(text),
    fencingToken: token,
    since: token === undefined ? undefined : proposedAt(token),
    ...(kept ? { kept } : {}),
  };
  if (text !== undefined) stored.set(holder, text);
  return holder;
}

/** The text of a holder as people are shown it. */
export function withoutMark(text: string): string {
  return text.replace(MARK, "");
}

/** The text of a holder as it is stored, with what tells jobs apart. */
export function storedTextOf(holder: Holder | undefined): string | undefined {
  return holder && (stored.get(holder) ?? holder.text);
}
