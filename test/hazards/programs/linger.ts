import { Redlock } from "../../../src/index.ts";

/** Uses and closes a `Redlock`, and prints at its end how many ms the process lived on after that. */
const redlock = new Redlock({
  nodes: process.argv.slice(2),
  restartGuard: false,
  ttl: 2_000,
  nodeTimeout: 300,
});
await redlock.using("used", () => undefined);
await redlock.close();
const closedAt = performance.now();
process.on("exit", () => process.stdout.write(`${Math.round(performance.now() - closedAt)}`));
