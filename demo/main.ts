// What `npm start` runs.
import { constants } from "node:os";
import { InputFile, UsageError } from "./input-file.ts";
import { LOCKED } from "./messages.ts";
import { readOptions } from "./options.ts";
import { Progress } from "./progress.ts";
import { wrap } from "./report.ts";
import { showDeposits } from "./show-deposits.ts";
import { showFile } from "./show-file.ts";
import { Stage } from "./stage.ts";

const progress = new Progress();
let stage: Stage | undefined;
let isStopping = false;

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.once(signal, () => void stop(signal));
// The reader has gone, as in `npm start | head`.
process.stdout.on("error", () => void stop("SIGPIPE"));

try {
  process.exitCode = await run();
} catch (error) {
  progress.stop();
  // Errors during a shutdown are expected.
  if (!isStopping)
    console.error(`error: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}

async function run(): Promise<number> {
  const options = await readOptions(process.argv.slice(2));
  if (options.kind === "help") {
    process.stdout.write(options.text);
    return 0;
  }
  if (options.kind === "deposits") {
    const lock = { key: "account:{{data.account}}", limit: 1 };
    const orders = { lock, lockedQueue: LOCKED, jobs: "deposits" } as const;
    return await onStage(orders, async (stage) => await showDeposits(stage, progress));
  }
  const { path, lock, queue, job } = options;
  const file = await InputFile.open(path);
  const orders = { lock, lockedQueue: queue, jobs: "lines of a file" } as const;
  const show = { lock, queue, job };
  return await onStage(orders, async (stage) => await showFile(file, show, stage, progress));
}

async function onStage(
  orders: Parameters<typeof Stage.start>[0],
  show: (stage: Stage) => Promise<number>,
): Promise<number> {
  progress.say("starting a queue, three lock masters and two worker processes ...");
  stage = await Stage.start(orders, (line) => progress.say(line));
  try {
    await stage.crew.ready();
    progress.say(wrap(stage.describe(), 0));
    const troubles = new Set<string>();
    stage.crew.listen((news, pid) => {
      if (news.kind === "reloaded") {
        progress.say(`worker process ${pid}: ${news.rules} rules in force, ${news.added} new`);
      }
      if (news.kind !== "trouble" || troubles.has(news.message)) return;
      troubles.add(news.message);
      progress.say(`worker process ${pid}: ${news.message}`);
    });
    return await show(stage);
  } finally {
    await stage.close();
  }
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  isStopping = true;
  progress.stop();
  // Without a stage, and at a second signal, the servers end with this process.
  await stage?.kill();
  process.exit(128 + constants.signals[signal]);
}
