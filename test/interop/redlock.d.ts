/** What tests and benchmark use of the package, whose own types modern module resolution does not find. */
declare module "redlock" {
  import type { Redis } from "ioredis";

  export interface Settings {
    readonly retryCount?: number;
    readonly retryDelay?: number;
    readonly retryJitter?: number;
    readonly automaticExtensionThreshold?: number;
  }

  export class ExecutionError extends Error {}

  export class Lock {
    constructor(
      redlock: Redlock,
      resources: string[],
      value: string,
      attempts: readonly never[],
      expiration: number,
    );
    readonly value: string;
    release(): Promise<unknown>;
    extend(duration: number): Promise<Lock>;
  }

  class Redlock {
    constructor(clients: Iterable<Redis>, settings?: Settings);
    acquire(resources: string[], duration: number): Promise<Lock>;
    using<T>(
      resources: string[],
      duration: number,
      routine: (signal: AbortSignal) => Promise<T>,
    ): Promise<T>;
    on(event: "error", listener: (error: Error) => void): this;
  }
  export { Redlock as default };
}
