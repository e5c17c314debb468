import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { expect, it, onTestFinished } from "vitest";
import { Redlock } from "../../src/index.ts";
import { useRedisNodes } from "../support/redis.ts";
import { cli, startCli } from "./run-cli.ts";
import { nodesOf } from "./use-masters.ts";

const nodes = useRedisNodes(3);

it("serves a page to this machine only, and exits with 0 when interrupted", async () => {
  const redlock = new Redlock(nodes.redlockOptions);
  await redlock.acquire("account:42", { holder: "the nightly import" });
  const child = startCli(["dashboard", ...nodesOf(nodes.urls)]);
  onTestFinished(() => void child.kill());
  const [line] = (await once(child.stdout.setEncoding("utf8"), "data")) as [string];
  expect(line).toMatch(/^Dashboard: http:\/\/127\.0\.0\.1:\d+\/ \(Ctrl-C ends it\)\n$/);
  const [url = ""] = /http\S+/.exec(line) ?? [];
  const page = await (await fetch(url)).text();
  expect(page).toContain("account:42");
  expect(page).toContain("the nightly import");
  const cancel = await fetch(`${url}cancel?key=account:42`, { method: "POST" });
  expect(cancel.status).toBe(403);
  // A browser sends this when another name resolves to this machine.
  expect((await getAs("evil.example", url)).statusCode).toBe(421);
  child.kill("SIGINT");
  expect(await once(child, "close")).toEqual([0, null]);
  await redlock.close();
});

it.each<[args: string[], message: string]>([
  [["--port", "80000"], '--port: found "80000", expected a whole number from 0 to 65535'],
  [["--port", "x"], '--port: found "x"'],
  [["key"], "dashboard takes options only"],
  [["--host", "203.0.113.1"], "203.0.113.1:0 cannot be used (EADDRNOTAVAIL)"],
])("refuses %j", async (args, message) => {
  const { code, notes } = await cli(["dashboard", "--node", nodes.urls[0]!, ...args]);
  expect(code).toBe(2);
  expect(notes).toContain(message);
  expect(notes).toContain("See: bullmq-redlock dashboard --help");
});

async function getAs(host: string, url: string): Promise<IncomingMessage> {
  const request = get(url, { headers: { host } });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  response.resume();
  return response;
}
