import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { Program } from "./operation.ts";

/** A program as a master's script cache knows it. */
export class Script {
  readonly #source: string;
  readonly #sha: string;

  constructor(program: Program) {
    this.#source = program.source;
    this.#sha = createHash("sha1").update(program.source).digest("hex");
  }

  /** Puts the script in the server's cache by running it without a call; also shows that the server lets us run it. */
  async load(client: Redis): Promise<void> {
    await client.eval(this.#source, 0, "[]", "");
  }

  /**
   * Runs the script by its hash; if the server does not know it (any more) and `stillWanted`, by its source.
   */
  async run(client: Redis, argv: readonly string[], stillWanted: () => boolean): Promise<unknown> {
    try {
      return await client.evalsha(this.#sha, 0, ...argv);
    } catch (error) {
      const unknown = error instanceof Error && error.message.startsWith("NOSCRIPT");
      if (!unknown || !stillWanted()) throw error;
      return client.eval(this.#source, 0, ...argv);
    }
  }
}
