import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Runs between one client and one server on loopback, and does to their bytes what a network may do. */
export class TcpProxy implements AsyncDisposable {
  /** From the clients to the server. */
  readonly requests = new Lane();
  /** From the server to the clients. */
  readonly replies = new Lane();
  readonly #server: Server;
  #target: number;
  readonly #links = new Set<Link>();
  #refuses = false;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#accept(client));
  }

  /** Starts a proxy before a port of this machine. */
  static async start(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen({ host: "127.0.0.1", port: 0 });
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** How many clients are connected. */
  get connections(): number {
    return this.#links.size;
  }

  /** Resets all connections, on both sides; what is under way is lost. New ones are accepted. */
  cut(): void {
    for (const link of this.#links) link.reset();
  }

  /**
   * Resets all connections towards the clients only, and takes what they had sent and {@link requests} held: it is
   * still on its way to the server, over the old connections, while new ones pass. `deliver` lets it arrive.
   */
  detach(): { deliver(): void; delivered: Promise<void> } {
    const late = new Lane();
    late.hold();
    const links = [...this.#links];
    const delivered = Promise.all(links.map((link) => link.detach(late)));
    this.requests.pass();
    return { deliver: () => late.pass(), delivered: delivered.then(() => undefined) };
  }

  /** Lets all connections die without a word to either side, or only their replies: half open. New ones pass. */
  strand(what: "both ways" | "replies" = "both ways"): void {
    const nowhere = new Lane();
    nowhere.drop();
    for (const link of this.#links) link.strand(nowhere, what);
  }

  /** From now on new connections lead to another port: a name that points elsewhere. Those that exist stay. */
  point(target: number): void {
    this.#target = target;
  }

  /** Ends one side of all connections in good order (FIN), with the other still open; new ones pass. */
  halfClose(side: "client" | "server"): void {
    for (const link of this.#links) link.halfClose(side);
  }

  /** From now on resets every new connection at once; `false` ends it. */
  refuse(refuses = true): void {
    this.#refuses = refuses;
  }

  /** Passes this many more bytes of replies, then resets the connection that goes beyond: in the middle of a reply. */
  resetAfterReplyBytes(bytes: number): void {
    this.replies.allow(bytes);
  }

  /** Ends everything. Idempotent. */
  async stop(): Promise<void> {
    this.cut();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #accept(client: Socket): void {
    client.on("error", () => undefined);
    if (this.#refuses) {
      client.resetAndDestroy();
      return;
    }
    const server = connect({ host: "127.0.0.1", port: this.#target, noDelay: true });
    client.setNoDelay(true);
    const link: Link = new Link(client, server, this.requests, this.replies, () => {
      this.#links.delete(link);
    });
    this.#links.add(link);
  }
}

/** One direction of all connections of a proxy. */
export class Lane {
  #mode: "pass" | "hold" | "drop" = "pass";
  #delay = 0;
  #allowance = Infinity;
  readonly #pipes = new Set<Pipe>();
  #waiting: (() => void)[] = [];

  get mode(): "pass" | "hold" | "drop" {
    return this.#mode;
  }

  get delayMs(): number {
    return this.#delay;
  }

  /** Passes bytes on, `delay` ms after they came; what was held goes first. */
  pass(delay = 0): void {
    this.#mode = "pass";
    this.#delay = delay;
    for (const pipe of this.#pipes) pipe.pump();
  }

  /** Keeps bytes back until {@link pass}: a network that delays. */
  hold(): void {
    this.#mode = "hold";
  }

  /** Swallows bytes: a link that is dead without saying so. */
  drop(): void {
    this.#mode = "drop";
    for (const pipe of this.#pipes) pipe.pump();
  }

  /** Resolves when the next bytes have come in, whatever becomes of them. */
  next(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** For the proxy. */
  allow(bytes: number): void {
    this.#allowance = bytes;
  }

  /** For the pipes: how many of `bytes` may pass; fewer means that the connection ends there. */
  take(bytes: number): number {
    const taken = Math.min(bytes, this.#allowance);
    if (taken < bytes) this.#allowance = Infinity;
    else this.#allowance -= taken;
    return taken;
  }

  /** For the pipes. */
  attach(pipe: Pipe): () => void {
    this.#pipes.add(pipe);
    return () => this.#pipes.delete(pipe);
  }

  /** For the pipes. */
  arrived(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** One direction of one connection. */
class Pipe {
  #lane: Lane;
  #detach: () => void;
  readonly #sink: Socket;
  readonly #onCut: () => void;
  #queue: { bytes: Buffer; due: number }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #sourceEnded = false;

  constructor(source: Socket, sink: Socket, lane: Lane, onCut: () => void) {
    this.#lane = lane;
    this.#sink = sink;
    this.#onCut = onCut;
    this.#detach = lane.attach(this);
    source.on("data", (bytes) => {
      this.#queue.push({ bytes, due: performance.now() + this.#lane.delayMs });
      this.pump();
      this.#lane.arrived();
    });
    source.on("close", () => {
      this.#sourceEnded = true;
      this.pump();
    });
    sink.on("close", () => this.close());
  }

  /** Moves what may move now. */
  pump(): void {
    clearTimeout(this.#timer);
    if (this.#lane.mode === "drop") this.#queue = [];
    if (this.#lane.mode !== "hold") this.#deliver();
    if (this.#sourceEnded && this.#queue.length === 0) this.#sink.end();
  }

  /** Goes on in another lane, with what was held. */
  move(lane: Lane): void {
    this.#detach();
    this.#lane = lane;
    this.#detach = lane.attach(this);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
    this.#detach();
  }

  #deliver(): void {
    for (let [head] = this.#queue; head !== undefined; [head] = this.#queue) {
      const wait = head.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.pump(), wait);
        return;
      }
      this.#queue.shift();
      const passing = this.#lane.take(head.bytes.length);
      if (passing < head.bytes.length) {
        this.#sink.write(head.bytes.subarray(0, passing), this.#onCut);
        this.#queue = [];
        return;
      }
      this.#sink.write(head.bytes);
    }
  }
}

/** One connection through the proxy. */
class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  readonly #pipes: readonly Pipe[];

  constructor(client: Socket, server: Socket, requests: Lane, replies: Lane, onClosed: () => void) {
    this.#client = client;
    this.#server = server;
    // The other end of a cut connection is gone; that is what the proxy is for.
    server.on("error", () => undefined);
    server.on("close", () => {
      client.destroy();
      onClosed();
    });
    const cut = (): void => this.reset();
    this.#pipes = [new Pipe(client, server, requests, cut), new Pipe(server, client, replies, cut)];
  }

  reset(): void {
    for (const pipe of this.#pipes) pipe.close();
    this.#client.resetAndDestroy();
    this.#server.destroy();
  }

  halfClose(side: "client" | "server"): void {
    (side === "client" ? this.#client : this.#server).end();
  }

  strand(nowhere: Lane, what: "both ways" | "replies"): void {
    const [requests, replies] = this.#pipes;
    if (what === "both ways") requests?.move(nowhere);
    replies?.move(nowhere);
  }

  /** Leaves the client; resolves when the server has had everything from the lane, and has closed. */
  async detach(late: Lane): Promise<void> {
    this.#pipes[0]?.move(late);
    this.#client.resetAndDestroy();
    await once(this.#server, "close");
  }
}
