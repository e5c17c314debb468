import { findRedisServer } from "../../../src/testing/find-redis-server.ts";

// Finds a server in the environment of this process only, and prints what it found on one line.
const server = await findRedisServer({ places: [] });
process.stdout.write(`${JSON.stringify({ server })}\n`);
