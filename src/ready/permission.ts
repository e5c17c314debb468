import { ProbeError } from "../redis/probe.ts";

/** Something that the server does not let us do. */
export interface Refusal {
  /** The command, or the operation of the script. */
  readonly what: string;
  /** In the server's words. */
  readonly cause: string;
  /** True when locks do without it, and only looking at them does not; else absent. */
  readonly onlyForLooking?: true;
}

/** What the server answers, or `undefined` when it refuses; `refuse` hears of that. */
export async function permitted<T>(
  what: string,
  act: () => Promise<T>,
  refuse: (refusal: Refusal) => void,
): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof ProbeError && error.refused)) throw error;
    // Who is not let in is not refused a command.
    if (/^(NOAUTH|WRONGPASS|LOADING|BUSY) /.test(error.message)) throw error;
    refuse({ what, cause: error.message });
    return undefined;
  }
}

/** What the server answers, or `undefined` when it refuses. */
export async function optional<T>(act: () => Promise<T>): Promise<T | undefined> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ProbeError && error.refused) return undefined;
    throw error;
  }
}
