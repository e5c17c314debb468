import type { Hold } from "../contender.ts";

/** Makes a hold of a library that keeps locks alive only around a routine. */
export async function openScope(
  using: (routine: (signal: AbortSignal) => Promise<void>) => Promise<unknown>,
): Promise<Hold> {
  let end!: () => void;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let scope: Promise<unknown> = Promise.resolve();
  const signal = await new Promise<AbortSignal>((begin, refuse) => {
    scope = using(async (given) => {
      begin(given);
      await ended;
    });
    scope.catch(refuse);
  });
  return {
    get lost() {
      return signal.aborted;
    },
    release: async () => {
      end();
      // How the routine ended is told by the signal.
      await scope.catch(() => {});
    },
  };
}
