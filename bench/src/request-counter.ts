const CARRIAGE_RETURN = 13;
const STAR = 42;

/** Counts the commands in what a client sends: arrays of strings, as RESP has it. */
export class RequestCounter {
  #line = "";
  /** Bytes that are still to come and are no header: of a string, or of a line end. */
  #skip = 0;

  /** How many commands begin in these bytes, the next ones that came. */
  count(bytes: Buffer): number {
    let commands = 0;
    for (let at = 0; at < bytes.length; at++) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, bytes.length - at);
        this.#skip -= step;
        at += step - 1;
        continue;
      }
      const byte = bytes[at] ?? 0;
      if (byte !== CARRIAGE_RETURN) {
        this.#line += String.fromCharCode(byte);
        continue;
      }
      // The line feed of the header; a string and its line end follow the header of a string.
      this.#skip = 1;
      if (this.#line.charCodeAt(0) === STAR) commands += 1;
      else this.#skip += Number(this.#line.slice(1)) + 2;
      this.#line = "";
    }
    return commands;
  }
}
