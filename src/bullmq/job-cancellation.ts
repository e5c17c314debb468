import type { Activation } from "./activation.ts";
import { describeValue } from "../sentences.ts";

/**
 * The error of a job that was cancelled and has not run; `undefined` when it was not cancelled.
 *
 * BullMQ's reason is the bare text given to `cancelJob`; thrown as it is, the job would fail without a reason.
 */
export function cancellationOf({ cancel }: Pick<Activation, "cancel">): Error | undefined {
  if (cancel?.aborted !== true) return undefined;
  const reason: unknown = cancel.reason;
  if (reason instanceof Error) return reason;
  const text = typeof reason === "string" ? reason : describeValue(reason);
  return new Error(`cancelled before it had its lock: ${text}`);
}

/** Takes a cancelled job out of the lines of its keys, in which it may stand since its conflict. */
export function leaveLines(
  { waiter, settings }: Pick<Activation, "waiter" | "settings">,
  keys: readonly string[],
): void {
  if (waiter !== undefined) void settings.engine.waitLists.leave(waiter, keys);
}
