import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** Stands before a server and changes what it says about itself: a server that we do not have here. */
export class RewritingProxy implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  readonly #server;

  private constructor(target: number, from: RegExp, to: string) {
    this.#server = createServer((client) => {
      const server = connect({ host: "127.0.0.1", port: target });
      for (const socket of [client, server]) {
        this.#sockets.add(socket);
        socket.on("error", () => undefined);
        socket.on("close", () => {
          this.#sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.pipe(server);
      server.on("data", (bytes) => {
        const text = bytes.toString("latin1").replace(from, (found) => fit(to, found.length));
        client.write(Buffer.from(text, "latin1"));
      });
    });
  }

  /** Starts a proxy that puts `to` in place of `from`, cut or filled up to its length. */
  static async start(target: number, from: RegExp, to: string): Promise<RewritingProxy> {
    const proxy = new RewritingProxy(target, from, to);
    proxy.#server.listen({ host: "127.0.0.1", port: 0 });
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, "close");
  }
}

/** The length of a reply is told before it: it must stay. */
function fit(text: string, length: number): string {
  return text.slice(0, length).padEnd(length);
}
