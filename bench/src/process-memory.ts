import { setTimeout as delay } from "node:timers/promises";
import { Redis } from "ioredis";
import { fieldOf } from "./cpu.ts";

/** Bytes of heap and of other memory that this process uses, after a garbage collection. */
export async function processMemory(): Promise<number> {
  // What a callback of this tick holds is free only after it; the second run takes what the first has finalised.
  for (let i = 0; i < 2; i++) {
    await delay(10);
    globalThis.gc?.();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Bytes that a server uses. */
export async function serverMemory(url: string): Promise<number> {
  const client = new Redis(url);
  try {
    return fieldOf(await client.info("memory"), "used_memory");
  } finally {
    client.disconnect();
  }
}
