import type { Holder } from "../errors.ts";
import type { StoredLock } from "../lock/stored-lock.ts";
import { proposedAt } from "../lock/tokens.ts";
import { jobInText, withoutTag } from "./job-text.ts";

const stored = new WeakMap<Holder, StoredLock>();

/** Reads the holder from a stored value. @param slot the slot that it holds, where the key has a limit. */
export function toHolder(lock: StoredLock, slot?: number): Holder {
  const { token, text, kept } = lock;
  const job = jobInText(text);
  const holder: Holder = {
    text: text && withoutTag(text),
    fencingToken: token,
    since: token === undefined ? undefined : proposedAt(token),
    ...(job === undefined ? {} : { job }),
    ...(slot === undefined ? {} : { slot }),
    ...(kept ? { kept } : {}),
  };
  stored.set(holder, lock);
  return holder;
}

/** The text of a holder as it is stored, with its tag. */
export function storedTextOf(holder: Holder | undefined): string | undefined {
  return holder && (stored.get(holder)?.text ?? holder.text);
}

/** The random owner of a lock, which its release names; `undefined` for another program, and for an object made by hand. */
export function ownerOf(holder: Holder | undefined): string | undefined {
  const lock = holder && stored.get(holder);
  return lock?.token === undefined ? undefined : lock.id;
}
