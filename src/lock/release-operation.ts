import type { Operation } from "../redis/operation.ts";
import type { LockIdentity } from "./lock-identity.ts";
import { releaseEntry } from "./fast-path.ts";
import { SLACK } from "./wait-list-script.ts";
import {
  formatSkipped,
  parseReservation,
  type SkippedQueue,
  type ReservationReply,
} from "./wait-list-operations.ts";
import { KEPT, RETENTION } from "./stored-lock.ts";

/** What is given back, and how. */
export interface Releasing extends LockIdentity {
  /** False for the rollback of an attempt that never won. */
  readonly held: boolean;
  /** Milliseconds for which the keys stay taken, up to the longest ttl; 0 to give them back at once. */
  readonly holdFor: number;
  /** The homes that do not answer their calls: their waiters are passed over. */
  readonly skipped: readonly SkippedQueue[];
  /** The place of a job that has succeeded, and replaces earlier ones from now on; else empty. */
  readonly done: string;
}

/** What a master says to {@link releaseOperation}. */
export interface ReleaseReply {
  readonly deleted: number;
  /** Whose turn it is now, for each key; a rollback gives no turn, and counts who waits. */
  readonly reservations: readonly ReservationReply[];
}

/**
 * Deletes what is ours, up to our token, gives the turn to the next in line, and leaves a mark that refuses our own late
 * requests. Deletes first: a full server refuses the rest and must still free the keys.
 */
export const releaseOperation: Operation<Releasing, ReleaseReply> = {
  name: "release",
  repeatable: true,
  prompt: true,
  lua: `
  local owner, token, held, linger = argv[1], argv[2], argv[3] == '1', tonumber(argv[4])
  local place, process, home, prefix, done = argv[5], argv[6], argv[7], argv[9], argv[10] or ''
  local names, deleted, turns, awaited = #keys / 5, 0, {}, false
  for i = 1, names do
    local lock, fence, turn, line, details = keys[5 * i - 4], keys[5 * i - 3], keys[5 * i - 2], keys[5 * i - 1], keys[5 * i]
    local current, free = redis.pcall('GET', lock), true
    if type(current) == 'string' then
      local holder, theirs = holderOf(current)
      free = holder == owner and not above(theirs, token)
      if free then
        deleted = deleted + 1
        free = linger == 0
        if not held then redis.call('DEL', lock)
        elseif free then redis.call('DEL', lock, turn)
        else
          redis.call('PEXPIRE', lock, linger)
          local next = redis.call('ZRANGE', line, 0, 0)[1]
          if next then isDue(prefix, string.sub(lock, #prefix + 1), next, '', linger + ${SLACK}) end
          -- Executed twice, it marks once; a full server refuses, and need not.
          local head, text = string.match(current, '^(q?%d+:[%w_-]+:)(.*)$')
          if string.sub(text, 1, ${KEPT.length}) ~= '${KEPT}' then
            redis.pcall('SET', lock, head .. '${KEPT}' .. text, 'KEEPTTL')
          end
        end
      end
    elseif current then
      free = false
    end
    if held then
      pcall(raiseMarks, fence, token, token)
      if place ~= '' then leaveOnce(line, details, place, tonumber(argv[8])) end
      if done ~= '' then pcall(noteDone, newestOf(prefix, lock), done) end
    else
      local mark, closed = marksOf(fence)
      redis.pcall('SET', fence, highest(mark, token) .. ':' .. closed, 'PX', ${RETENTION})
    end
    if not free then
      turns[i] = { 'HELD', redis.call('PTTL', lock), redis.call('ZCARD', line) }
    elseif held then
      local ok, state = pcall(function()
        local skipped = skippedOf(prefix, argv, 11)
        return serve(prefix, string.sub(lock, #prefix + 1), turn, line, details, token, process, home, skipped)
      end)
      turns[i] = ok and state or NOBODY
    else
      turns[i] = { 'NOBODY', redis.call('ZCARD', line) }
    end
    if turns[i] ~= NOBODY then awaited = true end
  end
  -- Nearly always: all were ours, and nobody waits.
  if deleted == names and not awaited then return 'FREED' end
  return { 'OK', deleted, turns }`,
  keys: ({ names, keys }) =>
    keys.flatMap((key) => [
      names.lock(key),
      names.fence(key),
      names.reservation(key),
      names.waiters(key),
      names.waiter(key),
    ]),
  argv: ({ names, owner, token, held, holdFor, skipped, done, requester }) => [
    owner,
    token,
    held ? 1 : 0,
    holdFor,
    requester.position,
    requester.process,
    requester.queueId,
    requester.run,
    names.prefix,
    done,
    ...skipped.map(formatSkipped),
  ],
  fast: {
    entry: (releasing) =>
      releasing.held &&
      releasing.holdFor === 0 &&
      releasing.skipped.length === 0 &&
      releasing.done === ""
        ? releaseEntry(releasing)
        : undefined,
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

/** All keys were ours, and nobody waits for them. */
function freed({ keys }: Pick<Releasing, "keys">): ReleaseReply {
  return { deleted: keys.length, reservations: keys.map(() => ({ status: "nobody", waiting: 0 })) };
}
