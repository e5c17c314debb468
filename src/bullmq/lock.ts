import type { Redlock } from "../redlock/redlock.ts";

/** The lock of a job, as `redlock.acquire` gives it. */
export type Lock = Awaited<ReturnType<Redlock["acquire"]>>;
