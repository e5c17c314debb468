import { describe, expect, it } from "vitest";
import { type LockLostError, Redlock } from "../../src/index.ts";
import { redisClients } from "../support/redis.ts";
import type { Outcome } from "./run-cli.ts";
import { useMasters } from "./use-masters.ts";

const masters = useMasters({ ttl: 3_000, maxTtl: 60_000 });
const { nodes } = masters;
const REASON = "worker-3 hangs";

async function ask(...args: string[]): Promise<Outcome> {
  return await masters.ask("release", "account", ...args);
}

describe("release", () => {
  it("examines the oldest holder of a key with a limit, in its slot", async () => {
    const first = await masters.redlock.acquire("account", { holder: "an import", limit: 2 });
    const second = await masters.redlock.acquire("account", { holder: "an export", limit: 2 });
    const { out } = await ask("--force", "--reason", REASON);
    expect(out).toMatch(/^account has 2 of 2 slots taken/);
    expect(out).toContain(
      `Slot ${first.slot}: an import\nIt is one of 2 holders; --slot N chooses another.\nThe holder is alive: `,
    );
    expect(out).toContain("Removed, for the reason: ");
    await expect.poll(() => first.signal.aborted).toBe(true);
    expect(second.held).toBe(true);
    await second.release();
  });

  it("examines and removes the holder of the slot that is named", async () => {
    const first = await masters.redlock.acquire("account", { holder: "an import", limit: 3 });
    const second = await masters.redlock.acquire("account", { holder: "an export", limit: 3 });
    const free = [0, 1, 2].find((slot) => slot !== first.slot && slot !== second.slot);
    const none = await ask("--slot", String(free), "--force", "--reason", REASON);
    expect(none.code).toBe(0);
    expect(none.out).toMatch(
      new RegExp(`^account has 2 of 3 slots taken\nNo client holds slot ${free}.\n$`),
    );
    const { code, out } = await ask(
      "--slot",
      `${second.slot}`,
      "--force",
      "--reason",
      REASON,
      "--json",
    );
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      holder: { text: "an export", slot: second.slot },
      removed: true,
    });
    await expect.poll(() => second.signal.aborted).toBe(true);
    expect(first.held).toBe(true);
    await first.release();
  });

  it.each(["x", "-1", "1.5", ""])("refuses --slot=%s", async (slot) => {
    expect(await ask(`--slot=${slot}`)).toMatchObject({
      code: 2,
      notes: expect.stringContaining(
        `--slot: found "${slot}", expected a number from 0, as inspect shows it`,
      ),
    });
  });

  it("takes slot 0 for the holder of a key without a limit", async () => {
    await using lock = await masters.redlock.acquire("account", { holder: "an import" });
    const dry = await ask("--slot", "0", "--dry-run", "--json");
    expect(JSON.parse(dry.out)).toMatchObject({ holder: { fencingToken: lock.fencingToken } });
    expect(await ask("--slot", "1")).toMatchObject({ code: 0 });
  });

  it("reports what may run twice, and removes nothing without --force or in a dry run", async () => {
    await using lock = await masters.redlock.acquire("account", { holder: "an import" });
    const refused = await ask();
    expect(refused.code).toBe(1);
    expect(refused.out).toMatch(
      /^account has been held for .* by an import\nThe holder is alive: /,
    );
    expect(refused.out).toContain("WORK MAY RUN TWICE");
    expect(refused.out).toContain("Nothing was removed: that takes --force and --reason TEXT.\n");
    const dry = await ask("--force", "--reason", REASON, "--dry-run", "--json");
    expect(dry).toMatchObject({ code: 0, notes: "" });
    expect(JSON.parse(dry.out)).toMatchObject({
      key: "account",
      holder: { text: "an import", fencingToken: lock.fencingToken },
      hold: false,
      alive: true,
      removed: false,
      dryRun: true,
    });
    expect(lock.held).toBe(true);
  });

  it("removes the lock by force, with a master down: its holder loses it", async () => {
    const lock = await masters.redlock.acquire("account", { holder: "an import" });
    const other = new Redlock({ ...nodes.redlockOptions, ttl: 3_000, maxTtl: 60_000 });
    const waiting = other.acquire("account", { waitTimeout: 30_000 });
    await expect.poll(async () => (await masters.redlock.inspect("account")).waiting).toBe(1);
    await nodes.kill(2);
    const lost = new Promise<LockLostError>((resolve) => {
      lock.signal.addEventListener("abort", () => resolve(lock.signal.reason as LockLostError));
    });
    const { code, out } = await ask("--force", "--reason", REASON);
    expect(out).toMatch(/\nRemoved, for the reason: an operator on .+: worker-3 hangs\n/);
    expect(out).toMatch(/\nIts waiter is told to start\.\n$/);
    expect(code).toBe(0);
    const next = await waiting;
    expect((await lost).reason).toBe("taken");
    await nodes.restart(2);
    expect(next.held).toBe(true);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    expect(await lock.release()).toBe("expired");
    expect(await next.release()).toBe("released");
    await other.close();
  });

  it("reports when the key is free by itself if the holder does not extend", async () => {
    await using lock = await masters.redlock.acquire("account", { ttl: 2_000, heartbeat: false });
    const { code, out } = await ask("--dry-run", "--timeout", "900");
    expect(code).toBe(0);
    expect(out).toMatch(
      /has not extended its lock for 900 ms: its process may be dead.* free by itself within [\d.]+ m?s/,
    );
    expect(lock.held).toBe(true);
  });

  it("does not call a holder silent that had no reason to extend yet", async () => {
    await using _ = await masters.redlock.acquire("account", { ttl: 60_000 });
    const { out } = await ask("--dry-run", "--timeout", "300");
    expect(out).toMatch(/for 300 ms, too short a time to tell: a longer --timeout tells more/);
    const json = await ask("--dry-run", "--timeout", "300", "--json");
    expect(JSON.parse(json.out)).toMatchObject({ alive: null });
  });

  it("never removes the value of another program", async () => {
    const clients = redisClients(nodes);
    for (const value of ["a value of redsync", "1:"]) {
      await Promise.all(
        clients.map((client) => client.set("redlock:account", value, "PX", 60_000)),
      );
      const { code, out } = await ask("--force", "--reason", REASON);
      expect(code).toBe(1);
      expect(out).toContain("removes no value of another program");
      expect(await Promise.all(clients.map((client) => client.get("redlock:account")))).toEqual([
        value,
        value,
        value,
      ]);
    }
  });

  it("finds a free key free, and takes a reason with --force", async () => {
    await (await masters.redlock.acquire("account")).release();
    expect(await ask()).toEqual({ code: 0, out: "account is free\n", notes: "" });
    const { code, notes } = await ask("--force");
    expect(code).toBe(2);
    expect(notes).toContain("--reason: found nothing, expected a reason for people, as in");
  });

  it("fails with 3 when too few masters answer", async () => {
    await nodes.kill(1);
    await nodes.kill(2);
    const { code, out } = await ask("--force", "--reason", REASON, "--json");
    await nodes.restart(1);
    await nodes.restart(2);
    expect(code).toBe(3);
    expect(JSON.parse(out)).toMatchObject({ error: { exitCode: 3 } });
  });
});
