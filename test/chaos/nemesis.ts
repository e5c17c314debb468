import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import type { RedisNodes } from "../../src/testing/index.ts";
import type { TcpProxy } from "../support/tcp-proxy.ts";
import type { WorkerProcesses } from "./worker-processes.ts";
import type { Fault, FaultKind } from "./schedule.ts";

/** What the nemesis breaks. */
export interface Stage {
  /** The masters, and behind them a server for copies of one of them. */
  readonly nodes: RedisNodes;
  /** Of each worker, its way to each master. */
  readonly links: readonly (readonly TcpProxy[])[];
  readonly workers: WorkerProcesses;
}

/** Milliseconds an administrator waits for a server. None is dead or frozen then, but the machine may be busy. */
const PATIENCE = 20_000;

/** Makes things go wrong by a schedule, and mends them. */
export class Nemesis implements Disposable {
  /** How often each kind of fault was done. */
  readonly counts: Partial<Record<FaultKind, number>> = {};
  readonly #stage: Stage;
  readonly #admins: readonly Redis[];
  /** Of each master: a fault begins when the one before is mended, however long that took. */
  readonly #striking = new Map<number, Promise<void>>();
  /** There is one server for copies: its uses follow one another too. */
  #copying: Promise<void> = Promise.resolve();

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#admins = stage.nodes.urls.map((url) => {
      const admin = new Redis(url, { commandTimeout: PATIENCE, maxRetriesPerRequest: null });
      // Its masters are killed.
      admin.on("error", () => undefined);
      return admin;
    });
  }

  /** Runs the whole schedule; when it resolves, everything has been mended. */
  async run(schedule: readonly Fault[]): Promise<void> {
    const startedAt = performance.now();
    const running: Promise<void>[] = [];
    for (const fault of schedule) {
      const wait = startedAt + fault.at - performance.now();
      if (wait > 0) await delay(wait);
      running.push(this.#strike(fault));
    }
    await Promise.all(running);
    for (const link of this.#stage.links.flat()) mend(link, true);
  }

  [Symbol.dispose](): void {
    for (const admin of this.#admins) admin.disconnect();
  }

  async #strike(fault: Fault): Promise<void> {
    const { kind, master, worker } = fault;
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    if (worker === undefined) await this.#strikeNext(fault, master ?? 0);
    else if (master === undefined) await this.#strikeWorker(fault, worker);
    else await this.#strikeLink(fault, this.#stage.links[worker]?.[master]);
  }

  async #strikeNext(fault: Fault, master: number): Promise<void> {
    const before = this.#striking.get(master) ?? Promise.resolve();
    const strike = before.then(async () => await this.#strikeMaster(fault, master));
    this.#striking.set(master, strike);
    await strike;
  }

  async #strikeMaster({ kind, ms }: Fault, master: number): Promise<void> {
    const { nodes } = this.#stage;
    const admin = this.#admins[master];
    switch (kind) {
      case "freeze":
        nodes.pause(master);
        await delay(ms);
        nodes.resume(master);
        break;
      case "kill, keep data":
        await nodes.kill(master);
        await delay(ms);
        await nodes.restart(master, { empty: false });
        break;
      case "kill, lose data":
        await nodes.kill(master);
        await delay(ms);
        await nodes.restart(master, { empty: true });
        break;
      case "FLUSHALL":
        await admin?.flushall();
        break;
      case "SCRIPT FLUSH":
        await admin?.script("FLUSH");
        break;
      case "fill up":
        await admin?.config("SET", "maxmemory", "1");
        await delay(ms);
        await admin?.config("SET", "maxmemory", "0");
        break;
      case "demote":
        // Its master is where no server listens: it keeps its data.
        await admin?.replicaof("127.0.0.1", 1);
        await delay(ms);
        await this.#promote(master);
        break;
      case "fail over to a copy and back":
        this.#copying = this.#copying.then(async () => await this.#failBack(master, ms));
        await this.#copying;
        break;
      default:
        throw new Error(`${kind} is no fault of a master`);
    }
  }

  /** A master takes over the data of a copy that was parted from it for a while. It keeps its process and connections. */
  async #failBack(master: number, ms: number): Promise<void> {
    const copy = this.#stage.nodes.ports.length - 1;
    await this.#follow(copy, master);
    await this.#promote(copy);
    await delay(ms);
    await this.#follow(master, copy);
    await this.#promote(master);
  }

  /** Resolves when a server has the data of another one. */
  async #follow(replica: number, master: number): Promise<void> {
    const admin = this.#admins[replica];
    await admin?.replicaof("127.0.0.1", this.#stage.nodes.ports[master]!);
    while ((await admin?.info("replication"))?.includes("master_link_status:up") === false) {
      await delay(20);
    }
  }

  async #promote(server: number): Promise<void> {
    await this.#admins[server]?.replicaof("NO", "ONE");
  }

  async #strikeWorker({ kind, ms }: Fault, worker: number): Promise<void> {
    const { workers } = this.#stage;
    if (kind === "kill") return workers.kill(worker);
    if (kind === "deploy") return workers.deploy(worker);
    workers.stop(worker);
    await delay(ms);
    workers.continue(worker);
  }

  async #strikeLink({ kind, ms }: Fault, link: TcpProxy | undefined): Promise<void> {
    if (link === undefined) return;
    switch (kind) {
      case "delay":
        // Up to twice what a master has to answer.
        link.requests.pass(ms / 6);
        link.replies.pass(ms / 12);
        break;
      case "cut":
        link.cut();
        return;
      case "half-close towards the master":
        link.halfClose("server");
        return;
      case "half-close towards the client":
        link.halfClose("client");
        return;
      case "lose replies":
        link.replies.drop();
        break;
      case "lose requests":
        link.requests.drop();
        break;
      case "hold requests":
        link.requests.hold();
        break;
      case "hold replies":
        link.replies.hold();
        break;
      case "strand":
        link.strand();
        return;
      case "tear a reply":
        link.resetAfterReplyBytes(ms % 4);
        break;
      default:
        throw new Error(`${kind} is no fault of a link`);
    }
    await delay(ms);
    mend(link, false);
  }
}

/** Ends what is wrong with a link. */
function mend(link: TcpProxy, isLast: boolean): void {
  const hasLost = link.replies.mode === "drop" || link.requests.mode === "drop";
  link.resetAfterReplyBytes(Infinity);
  link.requests.pass();
  link.replies.pass();
  // Bytes that were lost leave a stream that nobody can read. A connection that died without a word
  // would be noticed after a while only: that is not what is measured after the end.
  if (hasLost || isLast) link.cut();
}
