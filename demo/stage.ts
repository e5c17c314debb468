import { type RedisNodes, startRedisNodes } from "bullmq-redlock/testing";
import { Crew } from "./worker-processes.ts";
import type { Orders } from "./messages.ts";

const MASTERS = 3;
const WORKERS = 2;
/** An idle Redis checks blocked clients only 10 times a second, so parked jobs would return in clusters. */
const WAKE_OFTEN = ["--hz", "100"];

/** The processes that the demo starts: the queue's Redis, the lock masters, the workers. */
export class Stage {
  readonly crew: Crew;
  readonly urls: { readonly queue: string; readonly masters: readonly string[] };
  readonly #nodes: RedisNodes;

  private constructor(nodes: RedisNodes, crew: Crew, urls: Stage["urls"]) {
    this.#nodes = nodes;
    this.crew = crew;
    this.urls = urls;
  }

  /** Starts everything; `say` receives a line if this takes long. */
  static async start(
    orders: Omit<Orders, "queue" | "masters">,
    say: (line: string) => void,
  ): Promise<Stage> {
    const nodes = await startRedisNodes(1 + MASTERS, { args: WAKE_OFTEN, onProgress: say });
    const [queue = "", ...masters] = nodes.urls;
    const crew = new Crew(WORKERS, { ...orders, queue, masters });
    return new Stage(nodes, crew, { queue, masters });
  }

  /** Describes the ports and processes. */
  describe(): string {
    const [queue, ...masters] = this.#nodes.ports;
    return `queue on port ${queue}; lock masters on ports ${masters.join(", ")}; worker processes ${this.crew.pids.join(", ")}`;
  }

  /** Kills a lock master, counted from 0, with SIGKILL; resolves with its process id when it is gone. */
  async killMaster(index: number): Promise<number> {
    const pid = this.#nodes.pids[1 + index] ?? 0;
    await this.#nodes.kill(1 + index);
    return pid;
  }

  /** Lets the workers finish, then ends everything. */
  async close(): Promise<void> {
    await this.crew.dismiss();
    await this.#nodes.stop();
  }

  /** Ends everything at once. */
  async kill(): Promise<void> {
    await Promise.all([this.crew.kill(), this.#nodes.stop()]);
  }
}
