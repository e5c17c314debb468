/** What is used of the packages that are measured: their own types are not there where they are not installed. */
declare module "redlock-universal" {
  import type { Redis } from "ioredis";

  export class IoredisAdapter {
    readonly client: Redis;
    constructor(client: Redis);
  }
  export interface Lock {
    acquire(): Promise<object>;
    release(handle: object): Promise<boolean>;
    using<T>(routine: (signal: AbortSignal) => Promise<T>): Promise<T>;
  }
  export function createRedlock(config: {
    adapters: readonly IoredisAdapter[];
    key: string;
    ttl: number;
    retryAttempts: number;
  }): Lock;
}

declare module "redis-semaphore" {
  import type { Redis } from "ioredis";

  export class RedlockMutex {
    constructor(
      clients: Redis[],
      key: string,
      options: {
        lockTimeout: number;
        acquireTimeout?: number;
        refreshInterval: number;
        onLockLost?: (error: Error) => void;
      },
    );
    acquire(): Promise<void>;
    release(): Promise<void>;
  }
}
