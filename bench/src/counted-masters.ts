import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Masters behind a proxy that counts the requests; it is a process of its own, so that the client does not pay for it. */
export class CountedMasters implements Disposable {
  readonly urls: readonly string[];
  readonly #child: ChildProcess;

  private constructor(urls: readonly string[], child: ChildProcess) {
    this.urls = urls;
    this.#child = child;
  }

  static async start(urls: readonly string[]): Promise<CountedMasters> {
    const program = fileURLToPath(new URL("proxy.js", import.meta.url));
    const child = fork(program, [...urls], { execArgv: [] });
    const [proxied] = (await once(child, "message")) as [string[]];
    return new CountedMasters(proxied, child);
  }

  /** Requests that all masters have got so far. */
  async requests(): Promise<number> {
    this.#child.send("count");
    const [counted] = (await once(this.#child, "message")) as [number];
    return counted;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}
