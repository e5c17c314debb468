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
  const runs: string[] = [];
  let [rank, detail, waiters] = [-1, "", 0];
  for (const [index, { operation, args }] of requests.entries()) {
    const { fast } = operation;
    const identity = args as LockIdentity;
    const own = fast?.detail(identity) ?? "";
    if (fast?.rank !== rank || own !== detail) {
      if (index > 0) runs.push(detail, String(index));
      [rank, detail] = [fast?.rank ?? ACQUIRE, own];
    }
    counts[rank] = (counts[rank] ?? 0) + 1;
    if (isWaiter(rank, identity)) waiters += 1;
  }
  const isAlone = requests.length === 1 && others === NO_OTHERS && waiters === 0;
  if (isAlone && (rank === ACQUIRE || rank === RELEASE)) {
    return [ALONE[rank], ...head, keyOf(first), valueOf(first.args as LockIdentity), detail];
  }
  runs.push(detail, String(requests.length));
  const encoded = [others, ...counts.map(String), ...head, String(runs.length / 2)];
  for (const request of requests) encoded.push(keyOf(request));
  for (const { args } of requests) encoded.push(valueOf(args as LockIdentity));
  encoded.push(...runs);
  if (waiters > 0) encoded.push(...requests.map(textOfWaiter));
  return encoded;
}

/** No request but entries. */
const NO_OTHERS = "[]";

function keyOf({ args }: AnyRequest): string {
  return (args as LockIdentity).slots[0] ?? "";
}

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
