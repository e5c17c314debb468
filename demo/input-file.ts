import { createReadStream } from "node:fs";
import type { NewJob } from "./round.ts";

/** A problem with the command, in one sentence. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** How many bad lines are kept. */
const MOST_BAD = 10;

/** Lines that are not JSON. */
export interface BadLines {
  count: number;
  first: { line: number; reason: string }[];
}

/** A file with one JSON value per line, each the data of a job. It is read while its jobs are taken. */
export class InputFile {
  readonly bad: BadLines = { count: 0, first: [] };
  readonly #path: string;
  readonly #jobs: AsyncGenerator<NewJob>;
  #first: IteratorResult<NewJob> | undefined;

  private constructor(path: string) {
    this.#path = path;
    this.#jobs = this.#read();
  }

  /** @throws {UsageError} when the file cannot be read, or has no line. */
  static async open(path: string): Promise<InputFile> {
    const file = new InputFile(path);
    file.#first = await file.#jobs.next();
    if (file.#first.done === true && file.bad.count === 0)
      throw new UsageError(`${path} has no line with data`);
    return file;
  }

  async *jobs(): AsyncGenerator<NewJob> {
    if (this.#first === undefined || this.#first.done === true) return;
    yield this.#first.value;
    yield* this.#jobs;
  }

  async *#read(): AsyncGenerator<NewJob> {
    let line = 0;
    for await (const text of lines(chunksOf(this.#path))) {
      line += 1;
      if (text.trim() === "") continue;
      try {
        yield { id: `line-${line}`, data: JSON.parse(text) };
      } catch (error) {
        this.bad.count += 1;
        const reason = (error as SyntaxError).message;
        if (this.bad.first.length < MOST_BAD) this.bad.first.push({ line, reason });
      }
    }
  }
}

async function* chunksOf(path: string): AsyncGenerator<string> {
  try {
    let isStart = true;
    for await (const chunk of createReadStream(path, "utf8") as AsyncIterable<string>) {
      // Windows writes a byte order mark.
      yield isStart ? chunk.replace(/^\uFEFF/, "") : chunk;
      isStart = false;
    }
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${describe(error)}`);
  }
}

/** `readline` would also split at U+2028, which JSON allows. */
async function* lines(chunks: AsyncIterable<string>): AsyncGenerator<string> {
  let pieces: string[] = [];
  for await (const chunk of chunks) {
    const [head = "", ...rest] = chunk.split("\n");
    pieces.push(head);
    for (const piece of rest) {
      yield pieces.join("");
      pieces = [piece];
    }
  }
  yield pieces.join("");
}

function describe(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EISDIR") return "it is a directory";
  if (code === "EACCES" || code === "EPERM") return "no permission";
  return error instanceof Error ? error.message : String(error);
}
