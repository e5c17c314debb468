import { checkNumber, refuseUnknownOptions, requireObject } from "../check-options.ts";
import type { Holder } from "../errors.ts";
import { unlisted } from "../lock/lock-identity.ts";
import type { Lock } from "../lock/lock.ts";
import { slotName, slotNamesOf } from "../lock/slots.ts";
import { releaseOperation, type ReleaseReply } from "../lock/release-operation.ts";
import { NodeError } from "../redis/node-error.ts";
import { requestOperation } from "../waiters/cancel-operation.ts";
import type { Engine } from "./engine.ts";
import { checkReason } from "./hold.ts";
import { ownerOf, storedTextOf } from "./holder.ts";
import { inspectToAct } from "./inspect.ts";
import { requireQuorum } from "./read-key.ts";

/** How a lock is removed. */
export interface ForceReleaseOptions {
  /** Names the operator and the reason, for the log of the job that loses its lock. */
  reason: string;
  /** The fencing token of the holder that is meant: another holder keeps its lock. @defaultValue the holder, or the oldest of several */
  fencingToken?: number;
}

/** What `forceRelease` did. */
export interface ForceReleaseResult {
  key: string;
  /**
   * - `"released"`: a quorum of masters has removed the lock, and refuses every late request of its holder; or the free key was
   *   kept for a job that runs again (`retryOrder`), and is not any longer.
   * - `"free"`: no client held the key.
   * - `"not-removed"`: another holder than the one that was meant has the key, or another program, or no holder has a quorum.
   */
  outcome: "released" | "free" | "not-removed";
  /** The holder that was found. */
  holder: Holder | undefined;
  /** How many wait for the key. */
  waiting: number;
}

/** No holder stops for a request from there: the request only keeps the reason. */
const NO_POSITION = "";

/**
 * Removes the lock of a holder from all masters, and hands the key over to the first waiter.
 *
 * It is the release that the holder itself would send, with its owner and its token. So the masters close the marks of the key
 * up to that token: an extend that is under way, or comes later, does not set the lock again.
 *
 * A free key that is kept for a job that runs again is for the other waiters then; the job waits behind them.
 * @throws {LockUnavailableError} when no quorum answers, or can vote.
 */
export async function forceRelease(
  { context, waitLists, cancelRequests }: Engine,
  key: string,
  options: ForceReleaseOptions,
): Promise<ForceReleaseResult> {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, ["reason", "fencingToken"]);
  const reason = checkReason(options.reason);
  // A null would mean any holder.
  if (options.fencingToken !== undefined) {
    const bounds = { min: 0, max: Number.MAX_SAFE_INTEGER, unit: "a fencing token" };
    checkNumber("fencingToken", options.fencingToken, bounds);
  }
  const { holders, locked, waiting, ...inspected } = await inspectToAct(context, key);
  const holder =
    holders.find(({ fencingToken }) => fencingToken === options.fencingToken) ?? inspected.holder;
  const found = { key, holder, waiting };
  const { fencingToken: token } = holder ?? {};
  const owner = ownerOf(holder);
  if (!locked && holders.length === 0) {
    const isKept = options.fencingToken === undefined && (await waitLists.endRetry(key));
    return { ...found, outcome: isKept ? "released" : "free" };
  }
  if (token === undefined || owner === undefined || token !== (options.fencingToken ?? token)) {
    return { ...found, outcome: "not-removed" };
  }
  cancelRequests.ask({ key, holder }, NO_POSITION, reason);
  const name = slotName(key, holder?.slot ?? 0);
  const handOver = waitLists.handOver([name], token, 0, false);
  const { masters, names, process } = context;
  const releasing = {
    names,
    keys: [key],
    slots: [name],
    limits: undefined,
    owner,
    token,
    holder: storedTextOf(holder) ?? "",
    guarded: false,
    requester: unlisted(process),
    held: true,
    holdFor: 0,
    skipped: waitLists.skipped,
    done: "",
  };
  const pass = (node: number, { reservations }: ReleaseReply): void =>
    handOver.onReservations(node, reservations);
  const replies = await masters.gatherAll(releaseOperation, releasing, pass);
  for (const [node, reply] of replies.entries()) {
    if (!(reply instanceof NodeError)) pass(node, reply);
  }
  await handOver.woken;
  // The masters that have answered refuse what the holder sends from now on.
  requireQuorum(context, [key], replies);
  return { ...found, outcome: "released" };
}

/** The reason with which the lock of a holder was removed, as far as masters know; `undefined` when it was not. */
export async function reasonOfRemoval(
  { context: { masters, names } }: Engine,
  lock: Lock,
): Promise<string | undefined> {
  const asked = slotNamesOf(lock).map((key) => masters.gatherAll(requestOperation, { names, key }));
  for (const reply of (await Promise.all(asked)).flat()) {
    if (reply === undefined || reply instanceof NodeError) continue;
    if (reply.token === lock.fencingToken && reply.position === NO_POSITION) return reply.by;
  }
  return undefined;
}
