import type { RedlockErrorCode } from "../errors.ts";

/**
 * Errors that steer BullMQ instead of failing the job.
 *
 * They are recognised and made by name, not by class: a program may load BullMQ twice (as CommonJS and as ESM, or in two
 * versions), and BullMQ itself checks the name.
 */
const CONTROL_NAMES = new Set([
  "DelayedError",
  "WaitingError",
  "WaitingChildrenError",
  "UnrecoverableError",
]);

/** The message of BullMQ's rate limit error, which has no name of its own. */
const RATE_LIMIT_MESSAGE = "bullmq:rateLimitExceeded";

/** Whether a processor threw it to steer BullMQ. */
export function isControlError(thrown: unknown): boolean {
  if (typeof thrown !== "object" || thrown === null) return false;
  if ("message" in thrown && thrown.message === RATE_LIMIT_MESSAGE) return true;
  return namesOf(thrown).some((name) => CONTROL_NAMES.has(name));
}

/** Makes the error that tells BullMQ that the job was moved to the delayed set and has left the worker. */
export function delayedError(message: string): Error {
  return named(new Error(message), "DelayedError");
}

/** Makes the error that tells BullMQ to fail the job for good. It carries the message and the code of its cause. */
export function unrecoverableError(cause: Error & { code: RedlockErrorCode }): Error {
  const error = new Error(cause.message, { cause });
  return named(Object.assign(error, { code: cause.code }), "UnrecoverableError");
}

/** The name of an error, and those of the classes it extends. */
function namesOf(error: object): string[] {
  const names = "name" in error ? [String(error.name)] : [];
  for (let proto: unknown = error; (proto = Object.getPrototypeOf(proto)) !== null;) {
    const { constructor } = proto as object;
    if (typeof constructor === "function") names.push(constructor.name);
  }
  return names;
}

function named(error: Error, name: string): Error {
  // Not enumerable, as on every error: loggers print own enumerable properties.
  return Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
}
