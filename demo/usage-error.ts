/** A problem with the command, in one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
