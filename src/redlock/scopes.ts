import type { LockConflict } from "../errors.ts";
import type { Lock } from "../lock/lock.ts";
import type { InternalLock } from "./internal-lock.ts";

/**
 * The code that runs under a lock which is released when that code is done: a processor, or a routine of `using`.
 *
 * Each scope runs in a function with a name that no other running scope has. V8 names it in the stack of everything that the scope
 * waits for, across `await` and promises. Nothing is recorded until a lock of this process is in the way, unlike with
 * AsyncLocalStorage, which before Node 24 makes every `await` of the process slower; and code that the scope has started without waiting for
 * it is no part of the scope.
 */
type Scope = <T>(lock: Lock, routine: () => Promise<T> | T) => Promise<T>;

/** The scopes that run, by name. */
const running = new Map<string, Lock>();
/** A function with a new name costs 4 microseconds, so they are used again. */
const idle: Scope[] = [];
let made = 0;

/** Runs `routine` as the scope of a lock. */
export function inScope<T>(lock: Lock, routine: () => Promise<T> | T): Promise<T> {
  return (idle.pop() ?? makeScope())(lock, routine);
}

/** Runs the routine of `using`. @throws {LockLostError} when the lock has ended before it, or was lost until it returned. */
export async function runUnder<T>(
  lock: InternalLock,
  routine: (lock: Lock) => Promise<T> | T,
): Promise<T> {
  lock.assertHeld();
  const value = await inScope(lock, () => routine(lock));
  lock.assertNotLost();
  return value;
}

/** Whether a scope of this process has the key. */
export function isHeldInScope({ holder }: LockConflict): boolean {
  for (const { fencingToken } of running.values()) {
    if (fencingToken === holder?.fencingToken) return true;
  }
  return false;
}

/**
 * Whether the scopes that wait for the present function hold all slots of the key that the limit allows. To be called after an
 * `await`: only then V8 knows what waits.
 */
export function isHeldByCaller({ key, limit = 1, holder }: LockConflict): boolean {
  const locks = callers().flatMap((name) => {
    const lock = running.get(name ?? "");
    const index = lock?.keys.indexOf(key) ?? -1;
    return lock !== undefined && (lock.slots[index] ?? limit) < limit ? lock : [];
  });
  const isOwn = locks.some(({ fencingToken }) => fencingToken === holder?.fencingToken);
  return isOwn && locks.length >= limit;
}

function makeScope(): Scope {
  const name = `redlock scope ${(made += 1)}`;
  const scopes: Record<string, Scope> = {
    async [name](lock, routine) {
      running.set(name, lock);
      try {
        return await routine();
      } finally {
        running.delete(name);
        idle.push(scope);
      }
    },
  };
  const scope = scopes[name]!;
  return scope;
}

/** The names of the functions on the stack, and of the async functions that wait for them. */
function callers(): (string | null)[] {
  const { stackTraceLimit } = Error;
  const prepareStackTrace: unknown = Reflect.get(Error, "prepareStackTrace");
  let names: (string | null)[] = [];
  try {
    Error.stackTraceLimit = Infinity;
    Error.prepareStackTrace = (_, sites) => {
      names = sites.map((site) => site.getFunctionName());
      return "";
    };
    // The trace is prepared when it is read.
    void new Error().stack;
  } finally {
    Object.assign(Error, { stackTraceLimit, prepareStackTrace });
  }
  return names;
}
