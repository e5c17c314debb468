export { findRedisServer, type FindRedisServerOptions } from "./find-redis-server.ts";
export { NoRedisServerError, type SearchAttempt } from "./no-redis-server-error.ts";
export { startRedisNodes, type RedisNodes, type RedisNodesOptions } from "./redis-nodes.ts";
export { RedisStartError } from "./redis-process.ts";
export type { RedisServer } from "./redis-server.ts";
