import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pickFreePort } from "./free-port.ts";
import { RedisProcess, RedisStartError, type Launch } from "./redis-process.ts";

const MAX_PORTS = 20;
const PORT_RETRY = 50;

/** How to run one node, on any port. */
export interface NodeLaunch extends Omit<Launch, "port" | "folder" | "log"> {
  /** The node's own folder. */
  root: string;
}

/** One master that can be paused, killed and restarted on the same port. */
export class RedisNode {
  readonly port: number;
  #running: RedisProcess;
  #work: Promise<void> = Promise.resolve();
  readonly #launch: NodeLaunch;

  private constructor(launch: NodeLaunch, port: number, running: RedisProcess) {
    this.#launch = launch;
    this.port = port;
    this.#running = running;
  }

  static async start(launch: NodeLaunch): Promise<RedisNode> {
    await makePrivateFolder(dataFolder(launch));
    for (let tries = 1; ; tries += 1) {
      const port = await pickFreePort();
      try {
        return new RedisNode(launch, port, await run(launch, port));
      } catch (error) {
        if (!isTaken(error) || tries === MAX_PORTS) throw error;
      }
    }
  }

  get pid(): number {
    return this.#running.pid;
  }

  get isRunning(): boolean {
    return this.#running.isRunning;
  }

  pause(): void {
    this.#needRunning("paused");
    this.#running.pause();
  }

  resume(): void {
    this.#needRunning("resumed");
    this.#running.resume();
  }

  async kill(): Promise<void> {
    await this.#inOrder(async () => await this.#running.kill());
  }

  async restart(empty: boolean): Promise<void> {
    await this.#inOrder(async () => {
      await this.#running.kill();
      if (empty) await rm(dataFolder(this.#launch), { recursive: true, force: true });
      await makePrivateFolder(dataFolder(this.#launch));
      this.#running = await runAgain(this.#launch, this.port);
    });
  }

  #needRunning(verb: string): void {
    if (!this.isRunning)
      throw new Error(`the node on port ${this.port} is not running and cannot be ${verb}`);
  }

  async #inOrder(step: () => Promise<void>): Promise<void> {
    const done = this.#work.then(step);
    // A failed step rejects for its caller, not for the next step.
    this.#work = done.catch(() => undefined);
    await done;
  }
}

async function run(launch: NodeLaunch, port: number): Promise<RedisProcess> {
  const { root } = launch;
  const folder = dataFolder(launch);
  return await RedisProcess.start({ ...launch, port, folder, log: join(root, "output.log") });
}

async function runAgain(launch: NodeLaunch, port: number): Promise<RedisProcess> {
  const deadline = performance.now() + launch.startTimeout;
  for (;;) {
    try {
      return await run(launch, port);
    } catch (error) {
      if (!isTaken(error) || performance.now() >= deadline) throw error;
      await delay(PORT_RETRY);
    }
  }
}

async function makePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
}

function dataFolder({ root }: NodeLaunch): string {
  return join(root, "data");
}

function isTaken(error: unknown): boolean {
  return error instanceof RedisStartError && error.portIsTaken;
}
