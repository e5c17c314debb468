/** What is known of one master. */
export interface NodeStatus {
  /** `host:port`. */
  node: string;
  /** `unknown` before the first connection, which is made at first use, or by `ready()`. */
  state: "unknown" | "up" | "down";
  /** Whether the master is known to give its vote. */
  votes: boolean;
  /** Milliseconds for which the master gives no vote yet, because it may have forgotten locks; else 0. */
  quarantine: number;
  /** Why the master is down, or has no vote. */
  cause: string | undefined;
}

/** What a `Redlock` knows without asking a master. */
export interface RedlockStatus {
  /**
   * False when locks are known to be unavailable: too few masters can vote, or the `Redlock` is closed. A master that has refused to vote
   * counts as without a vote for ten seconds.
   */
  ok: boolean;
  /** How many masters must vote for a lock. */
  quorum: number;
  /** How many masters are known to vote. */
  voting: number;
  /** How many locks this `Redlock` holds. */
  held: number;
  /**
   * How many jobs this process has parked and not started again. A job that another process has started counts until its
   * delay is over.
   */
  parked: number;
  nodes: NodeStatus[];
}

/** The state of the connections to the masters. */
export class NodeStates {
  readonly #nodes: { state: NodeStatus["state"]; cause: string | undefined }[];
  readonly #duplicates = new Map<number, string>();

  constructor(count: number) {
    this.#nodes = Array.from({ length: count }, () => ({ state: "unknown", cause: undefined }));
  }

  up(node: number): void {
    this.#nodes[node] = { state: "up", cause: undefined };
  }

  down(node: number, cause: string): void {
    this.#nodes[node] = { state: "down", cause };
  }

  /** Notes that an entry reaches the same server as another one, and has no vote. */
  duplicate(node: number, of: string): void {
    this.#duplicates.set(node, `the same server as ${of}`);
  }

  /**
   * Describes a master that gives no vote for `quarantine` ms; `undefined` while that time is unknown.
   * @param silence why its connection is suspect, or why it refuses to vote, if so.
   */
  describe(
    node: number,
    name: string,
    quarantine: number | undefined,
    silence: string | undefined,
  ): NodeStatus {
    const { state, cause } = this.#nodes[node] ?? { state: "unknown", cause: undefined };
    const why =
      cause ??
      silence ??
      this.#duplicates.get(node) ??
      (quarantine === 0 ? undefined : "new, or may have forgotten locks");
    return {
      node: name,
      state,
      votes: state === "up" && why === undefined,
      quarantine: quarantine ?? 0,
      cause: why,
    };
  }
}
