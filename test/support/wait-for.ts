import { vi } from "vitest";

/** Milliseconds for which `expect.poll`, by the configuration, and {@link waitFor} wait: they guard against hangs, and judge no speed. */
export const PATIENCE = 20_000;

/** As `vi.waitFor`, on a machine that may be busy. */
export async function waitFor<T>(
  check: () => T | Promise<T>,
  { timeout = PATIENCE, interval = 50 }: { timeout?: number; interval?: number } = {},
): Promise<T> {
  return await vi.waitFor(check, { timeout, interval });
}
