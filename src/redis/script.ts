import { createHash } from "node:crypto";
import { Command, Redis } from "ioredis";
import { type Batch, bulk } from "./batch.ts";
import type { ScriptSource } from "./operation.ts";

/** A program as a master's script cache knows it. */
export class Script {
  readonly #source: string;
  readonly #sha: string;

  constructor(program: ScriptSource) {
    this.#source = program.source;
    this.#sha = createHash("sha1").update(program.source).digest("hex");
  }

  /** Puts the script in the server's cache by running it without a call; also shows that the server lets us run it. */
  async load(client: Redis): Promise<void> {
    await client.eval(this.#source, 0, "[]", "");
  }

  /**
   * Runs the script by its hash; if the server does not know it (any more) and `stillWanted`, by its source.
   * @param runId names the server process.
   */
  async run(
    client: Redis,
    batch: Batch,
    runId: string,
    stillWanted: () => boolean,
  ): Promise<unknown> {
    try {
      return await this.#evalsha(client, batch, runId);
    } catch (error) {
      const unknown = error instanceof Error && error.message.startsWith("NOSCRIPT");
      if (!unknown || !stillWanted()) throw error;
      return client.eval(this.#source, 0, ...batch.args, runId);
    }
  }

  #evalsha(client: Redis, batch: Batch, runId: string): Promise<unknown> {
    // A client of another copy of ioredis may expect other commands.
    if (!(client instanceof Redis)) {
      return (client as Redis).evalsha(this.#sha, 0, ...batch.args, runId);
    }
    // Around what is the same for all masters: the command, the hash, no keys; and the run id as the last argument.
    const head = `*${batch.args.length + 4}\r\n${bulk("EVALSHA")}${bulk(this.#sha)}${bulk("0")}`;
    const parts = [Buffer.from(head), batch.written, Buffer.from(bulk(runId))];
    return client.sendCommand(new WrittenCommand(parts)) as Promise<unknown>;
  }
}

/** A command whose request is written already. */
class WrittenCommand extends Command {
  readonly #parts: readonly Buffer[];

  constructor(parts: readonly Buffer[]) {
    super("evalsha", [], { replyEncoding: "utf8" });
    this.#parts = parts;
  }

  override toWritable(): Buffer {
    return Buffer.concat(this.#parts);
  }
}
