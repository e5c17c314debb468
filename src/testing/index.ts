export { assertNoOverlap, type CriticalSection } from "./assert-no-overlap.ts";
export {
  MemoryNodes,
  type MemoryNodesOptions,
  type MemoryRedlockOptions,
} from "./memory/memory-nodes.ts";
export { NoRedisServerError } from "./find-redis-server.ts";
export { startRedisNodes, type RedisNodes, type RedisNodesOptions } from "./redis-nodes.ts";
export { RedisStartError } from "./redis-process.ts";
