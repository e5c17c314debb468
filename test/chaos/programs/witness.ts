import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { Journal, readJournals } from "../journal.ts";
import { judge } from "../judge.ts";
import { Resource, type Use } from "../resource.ts";
import type { WitnessTask } from "../witness.ts";

/** Has the protected resource, and judges the run by the journals of all: it knows nothing of locks. */
const task = JSON.parse(process.argv[2] ?? "") as WitnessTask;
const resource = new Resource();
const journal = new Journal(task.folder, "resource");

const server = createServer((socket) => {
  const lines = createInterface({ input: socket });
  // A user may be killed at any time; the error of the socket is given to both.
  socket.on("error", () => undefined);
  lines.on("error", () => undefined);
  lines.on("line", (line) => {
    const use = JSON.parse(line) as Use;
    const answer = resource.use(use);
    if (answer === "late")
      journal.write({ what: use.token === 0 ? "landed" : "refused", section: use.section });
    socket.write(`${answer}\n`);
  });
});
rmSync(task.socket, { force: true });
server.listen(task.socket, () => process.send?.("ready"));

process.on("message", () => {
  process.send?.(judge(readJournals(task.folder), task));
});
process.on("disconnect", () => process.exit());
