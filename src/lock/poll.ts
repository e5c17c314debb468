import type { NodeVote } from "../errors.ts";

type Word = NodeVote["vote"];

/** What the masters have said so far to one extend or release. Their words are put together only for who wants to read them. */
export class Poll {
  readonly #names: readonly string[];
  readonly #words: Word[];
  #causes: (string | undefined)[] | undefined;

  constructor(names: readonly string[]) {
    this.#names = names;
    this.#words = names.map(() => "pending");
  }

  /** A master has said something; a later word takes the place of an earlier one. */
  note(node: number, word: Word, cause?: string): void {
    this.#words[node] = word;
    if (cause !== undefined || this.#causes !== undefined) (this.#causes ??= [])[node] = cause;
  }

  /** How many masters have said this last. */
  count(word: Word): number {
    let counted = 0;
    for (const said of this.#words) if (said === word) counted += 1;
    return counted;
  }

  /** All of it, in the order of the masters. */
  report(): NodeVote[] {
    return this.#words.map((vote, node) => ({
      node: this.#names[node] ?? "",
      vote,
      cause: this.#causes?.[node],
    }));
  }
}
