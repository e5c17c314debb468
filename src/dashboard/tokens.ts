import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** Makes and checks the tokens of forms, which another site cannot know. They are valid in one process. */
export class FormTokens {
  readonly #secret = randomBytes(32);

  /** The token for one holder of one key, or 0 for none. */
  make(key: string, fencingToken: number): string {
    return this.#digest(key, fencingToken).toString("base64url");
  }

  /** Whether a token belongs to a holder of a key, in constant time. */
  isValid(token: string, key: string, fencingToken: number): boolean {
    const given = Buffer.from(token, "base64url");
    const wanted = this.#digest(key, fencingToken);
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  }

  #digest(key: string, fencingToken: number): Buffer {
    return createHmac("sha256", this.#secret).update(`${fencingToken}:${key}`).digest();
  }
}
