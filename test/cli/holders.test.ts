import { describe, expect, it } from "vitest";
import type { KeySummary } from "../../src/describe/summary.ts";
import type { Lock } from "../../src/index.ts";
import { redisClients } from "../support/redis.ts";
import { useMasters } from "./use-masters.ts";

const masters = useMasters({ ttl: 10_000, maxTtl: 15_000 });
const { nodes, ask } = masters;

async function hold(key: string, limit: number, ...holders: string[]): Promise<Lock[]> {
  const held: Lock[] = [];
  for (const holder of holders) held.push(await masters.redlock.acquire(key, { limit, holder }));
  return held;
}

describe("the commands about a key with a limit", () => {
  it("show how many slots are taken, and each holder", async () => {
    const held = await hold("account:42", 3, "import a", "import b");
    const { code, out, notes } = await ask("inspect", "account:42");
    expect([code, notes]).toEqual([0, ""]);
    expect(out).toMatch(/^account:42 has 2 of 3 slots taken\n/);
    const [a, b] = held.map(({ slot }) => slot);
    expect(out).toMatch(
      new RegExp(
        `Holders \\(2 of 3\\)\n +slot ${a} +import a, for [\\d.]+ m?s; expires in \\d[\\d.]* s, unless the holder extends it\n +slot ${b} +import b, for`,
      ),
    );
    expect(out.match(/2 of 3 slots taken\n/g)).toHaveLength(4);
    expect(out).toContain("What to do\n  Nothing: the next client that asks acquires a free slot.");
    const summary = JSON.parse((await ask("inspect", "account:42", "--json")).out) as KeySummary;
    expect(summary).toMatchObject({ state: "held", limit: 3, taken: 2 });
    expect(summary.holders.map(({ holder, heldBy }) => [holder.text, holder.slot, heldBy])).toEqual(
      [
        ["import a", a, 3],
        ["import b", b, 3],
      ],
    );

    held.push(...(await hold("account:42", 3, "import c")));
    const full = (await ask("inspect", "account:42")).out;
    expect(full).toMatch(/^account:42 has 3 of 3 slots taken\n/);
    expect(full).toContain("Nothing, while the holders work: a slot is released");
    expect(full).toMatch(/nor redlock:@slot:1:account:42 to\s+redlock:@slot:2:account:42, on/);

    await held.find(({ slot }) => slot === 0)?.release();
    const listed = await ask("ls");
    expect(listed.out).toMatch(
      /account:42 +2 of 3 slots taken, the oldest by import [abc] .* 3 of 3 +0/,
    );
    expect(listed.out).toContain("\n1 lock held\n");
  });

  it("do not call a free key unknown of which only a further slot was used", async () => {
    let slot = 0;
    for (let n = 0; slot === 0; n++) {
      const [lock] = await hold(`tenant:${n}`, 2, "a");
      slot = lock?.slot ?? 1;
      await lock?.release();
      if (slot === 0) continue;
      const { out } = await ask("inspect", `tenant:${n}`);
      expect(out).toMatch(/^tenant:\d+ is free\n/);
      expect(out).not.toContain("No client has held");
    }
  });

  it("find a value that never expires under a slot", async () => {
    await hold("k", 2, "a", "b");
    for (const client of redisClients(nodes)) await client.set("redlock:@slot:1:k", "other");
    const { code, out } = await ask("inspect", "k");
    expect(code).toBe(1);
    expect(out).toMatch(/slot 1 +another program; never expires/);
    expect(out).toContain("redis-cli -h HOST -p PORT DEL 'redlock:@slot:1:k'");
    expect((await ask("ls")).out).toContain("stuck: inspect it");
  });
});
