/** One way to get a server that did not work. */
export interface SearchAttempt {
  /** Where we looked, or what we tried. */
  step: string;
  /** Why it gave no server. */
  reason: string;
}

/** There is no server on this machine and none could be fetched. The message says what to do. */
export class NoRedisServerError extends Error {
  override readonly name = "NoRedisServerError";
  readonly code = "ERR_REDLOCK_NO_SERVER";
  /** Every step tried, in order. @internal */
  readonly attempts: readonly SearchAttempt[];
  /** What to do, in a sentence. */
  readonly remedy: string;

  /** @internal */
  constructor(attempts: readonly SearchAttempt[], remedy: string) {
    const lines = attempts.map(({ step, reason }) => `  - ${step}: ${reason}`);
    super(
      `no redis-server or valkey-server (6.2 or later) found:\n${lines.join("\n")}\n` +
        `To get one: ${remedy}`,
    );
    this.attempts = attempts;
    this.remedy = remedy;
  }
}
