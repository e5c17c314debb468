import type { Clock } from "../../clock.ts";
import type { Names } from "../../lock/stored-lock.ts";
import { NodeError } from "../../redis/node-error.ts";
import type { Operation } from "../../redis/operation.ts";
import { type CancelRequest, parseRequest, REQUEST_LIFE } from "../../waiters/cancel-operation.ts";
import { SimulatedGuard } from "./simulated-guard.ts";
import { SimulatedHooks } from "./simulated-hooks.ts";
import { SimulatedLocks } from "./simulated-locks.ts";
import { SimulatedNewest } from "./simulated-newest.ts";
import { SimulatedQueues } from "./simulated-queues.ts";
import { SimulatedReads } from "./simulated-reads.ts";
import { SimulatedRedis, type Snapshot } from "./simulated-redis.ts";
import { SimulatedWaitListOperations } from "./simulated-wait-list-operations.ts";
import { SimulatedWaitLists } from "./simulated-wait-lists.ts";

/** A lock master in virtual time: it gives the answers of the script on a Redis server. */
export class SimulatedMaster {
  readonly redis: SimulatedRedis;
  readonly #guard: SimulatedGuard;
  readonly #twins: Readonly<Record<string, (args: never, server: string) => unknown>>;
  /** Grows with each promotion. */
  #replicationId = 0;
  #replica = false;

  constructor(clock: Clock) {
    const redis = new SimulatedRedis(clock);
    const queues = new SimulatedQueues(redis);
    const lists = new SimulatedWaitLists(redis, queues);
    const newest = new SimulatedNewest(redis);
    const hooks = new SimulatedHooks(redis, queues, lists, newest);
    const guard = new SimulatedGuard(redis);
    const locks = new SimulatedLocks(redis, guard, hooks);
    const reads = new SimulatedReads(redis, guard, locks, hooks);
    const waitLists = new SimulatedWaitListOperations(redis, queues, lists, newest, guard);
    this.redis = redis;
    this.#guard = guard;
    this.#twins = {
      arm: guard.arm.bind(guard),
      agree: guard.agree.bind(guard),
      acquire: locks.acquire.bind(locks),
      extend: locks.extend.bind(locks),
      release: locks.release.bind(locks),
      read: reads.read.bind(reads),
      "read slots": reads.readSlots.bind(reads),
      scan: reads.scan.bind(reads),
      join: waitLists.join.bind(waitLists),
      move: waitLists.move.bind(waitLists),
      serve: waitLists.serve.bind(waitLists),
      due: waitLists.due.bind(waitLists),
      sizes: waitLists.sizes.bind(waitLists),
      page: waitLists.page.bind(waitLists),
      cancel: ({ names, key, token, position, by }: CancelRequest & { names: Names }) => {
        const request = JSON.stringify([key, token, position, by]);
        redis.set(names.request(key), request, REQUEST_LIFE);
        redis.publish(names.cancelled, request);
      },
      request: ({ names, key }: { names: Names; key: string }) =>
        parseRequest(redis.get(names.request(key)) ?? ""),
    };
  }

  /** Loses everything, as a restart without persistence does. */
  wipe(): void {
    this.redis.restore(new Map());
  }

  snapshot(): Snapshot {
    return this.redis.snapshot();
  }

  /** Goes back to an earlier memory. */
  restore(snapshot: Snapshot): void {
    this.redis.restore(snapshot);
  }

  /** Becomes a replica of a server with these data: `REPLICAOF host port`. */
  follow(snapshot: Snapshot): void {
    this.restore(snapshot);
    this.#replica = true;
  }

  /** Becomes a master again: `REPLICAOF NO ONE`. Neither process nor connections change. */
  promote(): void {
    if (!this.#replica) return;
    this.#replica = false;
    // @protection a promotion gives a new identity
    this.#replicationId += 1;
  }

  /** @param server the process, as it names itself. */
  identity(server: string): string {
    return `${server === "" ? "hidden" : server}.${this.#replicationId}`;
  }

  get(key: string): string | undefined {
    return this.redis.get(key);
  }

  set(key: string, value: string, ttl: number): void {
    this.redis.set(key, value, ttl);
  }

  delete(key: string): void {
    this.redis.del(key);
  }

  subscribe(channel: string, listener: (message: string) => void): () => void {
    return this.redis.subscribe(channel, listener);
  }

  /**
   * @param process the server process, as the client knows it.
   * @throws {NodeError} on a replica.
   */
  execute<A, R>({ name }: Operation<A, R>, args: A, process: string): R {
    if (this.#replica) throw new NodeError("refused", "READONLY this server is a replica");
    const twin = this.#twins[name];
    if (twin === undefined) throw new Error(`no twin of "${name}"`);
    return twin(args as never, this.identity(process)) as R;
  }

  /** Sets a guard as after the first use of a set: sure, and long out of its quarantine. */
  setArmed(key: string, process: string, longest: number): void {
    const server = this.identity(process);
    const guard = { server, armed: 0, ready: 0, longest, agreed: longest };
    this.#guard.setGuard(key, { ...guard, state: "sure" });
  }
}
