import { connect, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** One use of the resource. */
export interface Use {
  /** The first of a section claims the key, the others need the claim. */
  readonly verb: "claim" | "write";
  readonly key: string;
  readonly section: string;
  /** The fencing token; 0 for none. */
  readonly token: number;
}

interface LockIdentity {
  readonly token: number;
  readonly section: string;
}

/** What is protected: it takes what comes with the highest token it has seen. */
export class Resource {
  readonly #claims = new Map<string, LockIdentity>();

  /** `"late"`: somebody has claimed the key later; refused where there is a token to tell by. */
  use({ verb, key, section, token }: Use): "accepted" | "late" {
    const identity = this.#claims.get(key) ?? { token: 0, section: "" };
    const isLate =
      verb === "write"
        ? identity.section !== section
        : token !== 0 && token <= identity.token && identity.section !== section;
    if (isLate) return "late";
    this.#claims.set(key, { token, section });
    return "accepted";
  }
}

/** The resource as its users reach it, over a socket of the process that has it. */
export class RemoteResource {
  readonly #socket: Socket;
  readonly #waiting: ((answer: "accepted" | "late") => void)[] = [];

  constructor(path: string) {
    this.#socket = connect(path);
    createInterface({ input: this.#socket }).on("line", (line) => {
      this.#waiting.shift()?.(line === "late" ? "late" : "accepted");
    });
  }

  async use(use: Use): Promise<"accepted" | "late"> {
    return await new Promise((resolve) => {
      this.#waiting.push(resolve);
      this.#socket.write(`${JSON.stringify(use)}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
