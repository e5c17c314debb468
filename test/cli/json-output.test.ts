import { Queue } from "bullmq";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { useRedisNodes } from "../support/redis.ts";
import { makeFolder } from "../testing/folders.ts";
import { cli } from "./run-cli.ts";
import { useMasters } from "./use-masters.ts";

const DOCS = join(import.meta.dirname, "../../docs");

const masters = useMasters({ ttl: 10_000, maxTtl: 60_000 });
const queueNodes = useRedisNodes(1);

/** The fields that the page about operations names for each command. */
async function documentedFields(): Promise<Map<string, string[]>> {
  const [page, api] = await Promise.all(
    ["operations.md", "api.md"].map(async (name) => await readFile(join(DOCS, name), "utf8")),
  );
  const [, table = ""] = /\| Command +\| Fields +\|\n([^]*?)\n\n/.exec(page!)!;
  const rows = Array.from(table.matchAll(/^\| `([\w-]+)` +\| (.+?) +\|$/gm));
  return new Map(rows.map(([, command, cell]) => [command!, fieldsIn(cell!, api!)]));
}

function fieldsIn(cell: string, api: string): string[] {
  const fields = Array.from(cell.matchAll(/`([a-z]\w*)`/g), ([, name]) => name!);
  const [, type, without] = /those of `([A-Z]\w*)`(?: without `(\w+)`)?/.exec(cell) ?? [];
  const [, body = ""] = new RegExp(`export interface ${type} \\{\n([^}]*)\\}`).exec(api) ?? [];
  // Those with a question mark are there only where they have a meaning.
  const ofType = Array.from(body.matchAll(/^ {2}(?:readonly )?(\w+):/gm), ([, name]) => name!);
  return [...new Set([...ofType, ...fields])].filter((name) => name !== without).toSorted();
}

it("has the fields that the page about operations names, of each command", async () => {
  const { redlock, ask } = masters;
  await redlock.acquire("a");
  const redis = queueNodes.urls[0]!;
  const queue = new Queue("invoices", { connection: { url: redis } });
  onTestFinished(async () => await queue.close());
  const { id = "" } = await queue.add("charge", {});
  const rules = join(await makeFolder(), "bullmq-redlock.yaml");
  const nodes = JSON.stringify(masters.nodes.urls);
  await writeFile(rules, `nodes: ${nodes}\nrules:\n  - key: "a:{{data.id}}"\n`);
  const commands: [string, ...string[]][] = [
    ["inspect", "a"],
    ["ls"],
    ["waiters", "a"],
    ["why", `bull:invoices:${id}`, "--redis", redis],
    ["wake", "a"],
    ["release", "a", "--dry-run", "--timeout", "10"],
    ["cancel", "a"],
    ["hold", "b", "--for", "1s", "--reason", "a test"],
    ["doctor"],
  ];
  const printed = new Map<string, string[]>();
  for (const [command, ...rest] of commands) {
    const { out } = await ask(command, ...rest, "--json");
    printed.set(command, Object.keys(JSON.parse(out) as object).toSorted());
  }
  const { out } = await cli(["check-config", rules, "--json"]);
  printed.set("check-config", Object.keys(JSON.parse(out) as object).toSorted());
  expect(Object.fromEntries(printed)).toEqual(Object.fromEntries(await documentedFields()));
});
