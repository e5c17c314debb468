/** Runs `run` without stack traces: a simulation makes thousands of errors, and shows none. */
export async function withoutTraces<R>(run: () => Promise<R>): Promise<R> {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return await run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
