// Takes the pictures of the README and of docs/, in docs/images, from real masters, workers, commands and pages.
import { createBullBoard } from "@bull-board/api";
import { ExpressAdapter } from "@bull-board/express";
import { type Job, Queue, Worker } from "bullmq";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { RedlockAdapter } from "../src/bull-board/index.ts";
import { html } from "../src/dashboard/html.ts";
import { createDashboard, toNodeListener } from "../src/dashboard/index.ts";
import { Redlock, withLock } from "../src/index.ts";
import { startRedisNodes } from "../src/testing/index.ts";
import { Browser, findChromium } from "../test/support/chromium.ts";

const FOLDER = new URL("../docs/images/", import.meta.url);
/** How long to wait before the pictures are taken, so that charts have bars. */
const HISTORY_SECONDS = 24;

const chromium = findChromium();
if (chromium === undefined) throw new Error("no chromium on the PATH (apt-get install chromium)");
mkdirSync(FOLDER, { recursive: true });

await using queueRedis = await startRedisNodes(1);
await using masters = await startRedisNodes(3);
const connection = { url: queueRedis.urls[0] ?? "" };
const redlock = new Redlock(masters.redlockOptions);

/** The masters and this machine, by the names that they have in the documents. */
const NAMES: readonly (readonly [from: string, to: string])[] = [
  ...masters.ports.map((port, i) => [`127.0.0.1:${port}`, `lock-${i + 1}:6379`] as const),
  [hostname(), "worker-1"],
];

/** Serves on a free port of this machine. */
async function serve(listener: RequestListener): Promise<{ url: string; close: () => void }> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close };
}

/** The width of a character and the height of a line, in pixels. */
const [ADVANCE, LINE] = [7.8, 18];

/** Draws what a command prints on a terminal. */
function terminal(command: string, output: string): string {
  const lines = [`$ ${command}`, ...output.trimEnd().split("\n")];
  const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * ADVANCE) + 32;
  const rows = lines.map((line, i) => {
    const colour = i === 0 ? "#8b949e" : line.startsWith(" ") ? "#c9d1d9" : "#ffffff";
    const length = Math.round(line.length * ADVANCE);
    return (
      line !== "" &&
      html`<text
        x="16"
        y="${28 + i * LINE}"
        fill="${colour}"
        textLength="${length}"
        xml:space="preserve"
        >${line}</text
      > `
    );
  });
  const font = "ui-monospace, SFMono-Regular, Menlo, Consolas, monospace";
  return html`<svg
    xmlns="http://www.w3.org/2000/svg"
    width="${width}"
    height="${28 + lines.length * LINE}"
    font-family="${font}"
    font-size="13"
  >
    <rect width="100%" height="100%" rx="8" fill="#0d1117" />
    ${rows}
  </svg> `.toString();
}

interface Charge {
  readonly accountId: number;
}

const hold = new AbortController();
const queue = new Queue<Charge>("charges", { connection });
const worker = new Worker<Charge>(
  "charges",
  withLock({ redlock, key: "account:{{data.accountId}}" }, async (job: Job<Charge>) => {
    // Job 1 of each account works until the pictures are taken.
    await pause(600_000, undefined, { signal: hold.signal }).catch(() => job.id);
  }),
  { connection, concurrency: 20 },
);
const report = await redlock.acquire("report:2026-11", { holder: "the nightly report" });
let browser: Browser | undefined;
const dashboard = await serve(toNodeListener(createDashboard(redlock)));
const board = new ExpressAdapter();
createBullBoard({
  queues: [new RedlockAdapter(queue, { redlock })],
  serverAdapter: board,
  options: { uiConfig: { boardTitle: "bull-board" } },
});
const bullBoard = await serve(board.getRouter() as RequestListener);
try {
  for (const accountId of [42, 7, 1001, 42, 42, 7, 42]) {
    await queue.add("charge", { accountId });
    await pause(50);
  }
  browser = await Browser.start(chromium);
  const locks = await browser.open(dashboard.url, { width: 1_000, height: 1_090 });
  for (let second = 0; second < HISTORY_SECONDS; second += 2) {
    if (second % 6 === 0) await queue.add("charge", { accountId: 42 });
    await pause(2_000);
  }
  const rename = `for (const walk = document.createTreeWalker(document.body, 4); walk.nextNode(); )
    for (const [from, to] of ${JSON.stringify(NAMES)})
      walk.currentNode.data = walk.currentNode.data.replaceAll(from, to);
    document.querySelector(".live").remove()`;
  await locks.evaluate(rename);
  writeFileSync(new URL("dashboard.png", FOLDER), await locks.picture());

  const address = `${bullBoard.url}/queue/charges?status=delayed`;
  const jobs = await browser.open(address, { width: 1_200, height: 560 });
  // The first line of each job, without its data.
  const settings = { state: { collapseJob: true }, version: 2 };
  await jobs.evaluate(`localStorage.setItem("board-settings", '${JSON.stringify(settings)}')`);
  await jobs.go(address);
  for (let tries = 0; tries < 50; tries++) {
    if (await jobs.evaluate("document.body.innerText.includes('waits for account:42')")) break;
    await pause(100);
  }
  // The page moves its parts at first.
  await pause(1_000);
  writeFileSync(new URL("bull-board.png", FOLDER), await jobs.picture());

  const nodes = masters.urls.flatMap((url) => ["--node", url]);
  const args = ["dist/cli/main.js", "inspect", ...nodes, "account:42"];
  let output = execFileSync(process.execPath, args, { encoding: "utf8" });
  for (const [from, to] of NAMES) output = output.replaceAll(from, to);
  writeFileSync(
    new URL("inspect.svg", FOLDER),
    terminal("npx bullmq-redlock inspect account:42", output),
  );
  console.log(output);
} finally {
  await browser?.close();
  bullBoard.close();
  dashboard.close();
  hold.abort();
  await report.release();
  await worker.close();
  await queue.close();
  await redlock.close();
}
