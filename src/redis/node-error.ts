/** Why a master gave no answer that counts. */
export type NodeFailure = "timed-out" | "unreachable" | "refused" | "duplicate";

/** A master gave no answer that counts. */
export class NodeError extends Error {
  override readonly name = "NodeError";
  readonly failure: NodeFailure;
  /** In words, without the node's name: "ECONNREFUSED", "NOAUTH ...". */
  readonly reason: string;

  /** @param advice follows the reason in the message. */
  constructor(failure: NodeFailure, reason: string, advice = "") {
    super(`${reason}${advice}`);
    this.failure = failure;
    this.reason = reason;
  }
}
