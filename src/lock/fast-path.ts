import type { AnyRequest, FastEntry, FastPath } from "../redis/operation.ts";
import {
  ACQUIRE,
  ALONE,
  EXECUTE_ODD,
  EXTEND,
  RELEASE,
  SERVE_ENTRIES,
  TOKEN_DIGITS,
} from "./fast-path-lua.ts";
import { type LockIdentity, type TimedIdentity, valueOf } from "./lock-identity.ts";

/** The fast path compares tokens as text: a smaller one has fewer digits. */
const SMALLEST_TOKEN = 10 ** (TOKEN_DIGITS - 1);

/** The arguments of `SERVE_ALONE` and `SERVE_ENTRIES`. */
function encode(requests: readonly AnyRequest[], others: string): string[] {
  const [first] = requests;
  if (first === undefined) return [others];
  const { names, guarded, requester } = first.args as LockIdentity;
  const head = [names.prefix, requester.process, guarded ? "1" : "0"];
  const counts = [0, 0, 0];
  const keys: string[] = [];
  const values: string[] = [];
  const details: string[] = [];
  let waiters = 0;
  for (const { operation, args } of requests) {
    const { fast } = operation;
    const rank = fast?.rank ?? ACQUIRE;
    const identity = args as LockIdentity;
    counts[rank] = (counts[rank] ?? 0) + 1;
    keys.push(identity.slots[0] ?? "");
    values.push(valueOf(identity));
    details.push(fast?.detail(identity) ?? "");
    if (isWaiter(rank, identity)) waiters += 1;
  }
  const isAlone = requests.length === 1 && others === NO_OTHERS && waiters === 0;
  const rank = first.operation.fast?.rank;
  if (isAlone && (rank === ACQUIRE || rank === RELEASE)) {
    return [ALONE[rank], ...head, ...keys, ...values, ...details];
  }
  const texts = waiters === 0 ? NONE : requests.map(textOfWaiter);
  return [others, ...counts.map(String), ...head, ...keys, ...values, ...details, ...texts];
}

/** No request but entries. */
const NO_OTHERS = "[]";
const NONE: readonly string[] = [];

/** Whether the requester has a position: then the general part needs the text of its request. */
function isWaiter(rank: number, { requester }: LockIdentity): boolean {
  // The holder of a lock has left all wait lists.
  return requester.position !== "" && rank !== EXTEND;
}

function textOfWaiter(request: AnyRequest): string {
  const rank = request.operation.fast?.rank ?? ACQUIRE;
  return isWaiter(rank, request.args as LockIdentity) ? request.text : "";
}

/** The fast path of the script of a master. */
export const fastPath: FastPath = {
  lua: SERVE_ENTRIES,
  oddLua: EXECUTE_ODD,
  encode,
};

function isOrdinary({ requester, token, slots, limits }: LockIdentity): boolean {
  return (
    slots.length === 1 &&
    limits === undefined &&
    !requester.replaceable &&
    requester.behind === undefined &&
    token >= SMALLEST_TOKEN
  );
}

/** An extend as an entry. */
export const extendEntry: FastEntry<TimedIdentity> = {
  rank: EXTEND,
  takes: (identity) => identity.requester.keepsRetries !== true && isOrdinary(identity),
  detail: ({ ttl }) => String(ttl),
};

/** The release of a lock that was held as an entry. */
export const releaseEntry: FastEntry<LockIdentity> = {
  rank: RELEASE,
  takes: isOrdinary,
  detail: ({ requester }) => requester.queueId,
};

/** An acquire as an entry. */
export const acquireEntry: FastEntry<TimedIdentity> = {
  rank: ACQUIRE,
  takes: isOrdinary,
  detail: ({ ttl }) => String(ttl),
};
