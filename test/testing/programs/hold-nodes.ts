import { startRedisNodes } from "../../../src/testing/index.ts";

// Starts two nodes, freezes the second, says so on one line, and then holds them or leaves.
const nodes = await startRedisNodes(2);
nodes.pause(1);

process.on("SIGINT", () => {
  const running = nodes.ports.map((_, index) => nodes.isRunning(index));
  process.stdout.write(`${JSON.stringify({ running })}\n`);
});

process.stdout.write(`${JSON.stringify({ ports: nodes.ports })}\n`);
if (process.argv[2] === "hold") process.stdin.resume();
