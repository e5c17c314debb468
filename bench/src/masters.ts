import { execFileSync } from "node:child_process";
import { Redis } from "ioredis";

/** Lets processes, with all of their threads, run on the first core only. */
export function pinToOneCore(pids: readonly number[]): void {
  for (const pid of pids) {
    execFileSync("taskset", ["--all-tasks", "--cpu-list", "--pid", "0", String(pid)]);
  }
}

/** Removes what contenders have left on masters: the next one finds them as the first did. The guard of ours stays armed. */
export async function clearMasters(urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    const client = new Redis(url);
    const left = (await client.keys("*")).filter((key) => !key.endsWith("@node"));
    if (left.length > 0) await client.unlink(left);
    client.disconnect();
  }
}
