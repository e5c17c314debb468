/** What a command ends with. */
export const EXIT = {
  /** Nothing is wrong. */
  ok: 0,
  /** Something was found that somebody should look at. */
  finding: 1,
  /** The command, or the file it was given, cannot be used. */
  usage: 2,
  /** Too few masters answered to say anything, or can vote: nobody gets a lock now. */
  noQuorum: 3,
} as const;

/** One of {@link EXIT}. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];
