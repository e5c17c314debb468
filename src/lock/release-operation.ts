import type { Operation } from "../redis/operation.ts";
import { lockAndFence, type LockIdentity } from "./lock-identity.ts";
import { releaseEntry } from "./fast-path.ts";
import { KEPT, RESERVED, RETENTION } from "./stored-lock.ts";
import {
  FREE,
  formatReleaser,
  parseReservation,
  type Releaser,
  type ReservationReply,
} from "./wait-list-hooks.ts";

/** What is released, and how. */
export interface Releasing extends LockIdentity, Releaser {
  /** False for the rollback of an attempt that never won. */
  readonly held: boolean;
  /** Milliseconds for which the keys stay taken, up to the longest ttl; 0 to free them at once. */
  readonly holdFor: number;
}

/** What a master answers to {@link releaseOperation}. */
export interface ReleaseReply {
  readonly deleted: number;
  /** For each key; a rollback reserves nothing, and counts the waiters. */
  readonly reservations: readonly ReservationReply[];
}

/**
 * Deletes the locks of the owner, up to its token, reserves the keys for the next waiters, and leaves a mark that refuses late
 * requests of the same token. Deletes first: a full server refuses the rest and must still free the keys.
 */
export const releaseOperation: Operation<Releasing, ReleaseReply> = {
  name: "release",
  repeatable: true,
  prompt: true,
  lua: `
  local owner, token, isHeld, holdFor, prefix = argv[1], argv[2], argv[3] == '1', tonumber(argv[4]), argv[5]
  local count, deleted, replies, hasWaiters = #keys / 2, 0, {}, false
  for i = 1, count do
    local lock, fence = keys[2 * i - 1], keys[2 * i]
    local key, current, free, isOurs = string.sub(lock, #prefix + 1), redis.pcall('GET', lock), true, false
    if type(current) == 'string' then
      local holder, held = holderOf(current)
      isOurs = holder == owner and not above(held, token)
      free = isOurs
      if isOurs then
        deleted = deleted + 1
        free = holdFor == 0
        if not isHeld then redis.call('DEL', lock)
        elseif free then redis.call('DEL', lock, prefix .. '${RESERVED}' .. key)
        else
          redis.call('DEL', prefix .. '${RESERVED}' .. key)
          redis.call('PEXPIRE', lock, holdFor)
          onHold(prefix, key, holdFor)
          -- Executed twice, it marks once. A full server refuses, which does no harm.
          local head, text = string.match(current, '^(q?%d+:[%w_-]+:)(.*)$')
          if string.sub(text, 1, ${KEPT.length}) ~= '${KEPT}' then
            redis.pcall('SET', lock, head .. '${KEPT}' .. text, 'KEEPTTL')
          end
        end
      end
    elseif current then
      free = false
    end
    local isLast, isNew = isOurs, false
    if isHeld then
      local known, mark, closed = pcall(marksOf, fence)
      isLast = isOurs or (known and not above(mark, token))
      isNew = known and above(token, closed)
      pcall(raiseMarks, fence, token, token)
    else
      local mark, closed = marksOf(fence)
      redis.pcall('SET', fence, highest(mark, token) .. ':' .. closed, 'PX', ${RETENTION})
    end
    local rest = not free and redis.call('PTTL', lock) or nil
    local reply = onRelease(prefix, key, token, isHeld, argv, 6, rest, isLast, isNew)
    replies[i] = reply or { 'FREE', 0 }
    hasWaiters = hasWaiters or reply ~= nil
  end
  -- The usual case: all were ours, and have no waiters.
  if deleted == count and not hasWaiters then return 'FREED' end
  return { 'OK', deleted, replies }`,
  keys: lockAndFence,
  argv: (releasing) => [
    releasing.owner,
    releasing.token,
    releasing.held ? 1 : 0,
    releasing.holdFor,
    releasing.names.prefix,
    ...formatReleaser(releasing),
  ],
  fast: {
    ...releaseEntry,
    takes: (releasing) =>
      releasing.held &&
      releasing.holdFor === 0 &&
      releasing.skipped.length === 0 &&
      releasing.done === "" &&
      releasing.keepsRetry !== true &&
      releaseEntry.takes(releasing),
    served: freed,
  },
  parse([status, deleted, reservations], { keys }) {
    if (status === "FREED") return freed({ keys });
    if (status !== "OK" || !Array.isArray(reservations)) {
      throw new Error(`an unknown status ${String(status)}`);
    }
    return { deleted: Number(deleted), reservations: reservations.map(parseReservation) };
  },
};

/** All keys were ours, and have no waiters. */
function freed({ keys }: Pick<Releasing, "keys">): ReleaseReply {
  return keys.length === 1 ? FREED : { deleted: keys.length, reservations: keys.map(() => FREE) };
}

const FREED: ReleaseReply = { deleted: 1, reservations: [FREE] };
