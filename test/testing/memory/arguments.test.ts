import { describe, expect, it, onTestFinished, vi } from "vitest";
import { LockConfigError } from "../../../src/index.ts";
import { MemoryNodes, type MemoryNodesOptions } from "../../../src/testing/index.ts";

const KEY = "account:42";

function memory(options?: MemoryNodesOptions): MemoryNodes {
  const masters = new MemoryNodes(options);
  onTestFinished(async () => await masters.close());
  return masters;
}

describe("the options of MemoryNodes", () => {
  const count = "expected a whole number of masters from 1 to 99";
  it.each([
    [{ count: "3" }, `count: found "3", ${count}`],
    [{ count: 0 }, `count: found 0, ${count}`],
    [{ count: 1.5 }, `count: found 1.5, ${count}`],
    [{ count: Number.NaN }, `count: found NaN, ${count}`],
    [{ count: null }, `count: found null, ${count}`],
    [{ count: 1_000 }, `count: found 1000, ${count}`],
    [{ virtualTime: "yes" }, 'virtualTime: found "yes", expected true or false'],
    [{ virtualTime: null }, "virtualTime: found null, expected true or false"],
    [{ nodes: 3 }, "nodes: found an unknown option, expected one of count, virtualTime"],
    [{ cuont: 3 }, 'cuont: found an unknown option, expected "count"?'],
    [5, "options: found 5, expected an object of options"],
    [null, "options: found null, expected an object of options"],
    [[3], "options: found an array of 1, expected an object of options"],
  ])("refuse %j", (options, message) => {
    const make = () => new MemoryNodes(options as MemoryNodesOptions);
    expect(make).toThrow(message);
    expect(make).toThrow(LockConfigError);
  });

  it("may be there without a value", () => {
    memory({ count: undefined, virtualTime: undefined } as unknown as MemoryNodesOptions);
  });
});

describe("the options of its clients", () => {
  it("do not name masters", () => {
    const nodes = ["redis://lock-1:6379"];
    const masters = memory();
    // @ts-expect-error the masters are these
    const make = () => masters.redlock({ nodes });
    expect(make).toThrow(
      "nodes: found an array of 1, expected none: the masters are those in memory",
    );
    masters.redlock({ nodes: undefined });
  });

  it("do not guard against a loss of memory that cannot be", () => {
    const masters = memory();
    // @ts-expect-error no master restarts
    const make = () => masters.redlock({ restartGuard: true });
    expect(make).toThrow("restartGuard: found true, expected none: masters in memory");
  });

  it("are an object", () => {
    const masters = memory();
    expect(() => masters.redlock(5 as never)).toThrow(
      "options: found 5, expected an object of options",
    );
  });
});

describe("hold", () => {
  it("takes the key that clients with their prefix see", async () => {
    const masters = memory();
    const redlock = masters.redlock({ prefix: "app:" });
    const other = await masters.hold(KEY);
    expect(await redlock.inspect(KEY)).toMatchObject({
      locked: true,
      holder: { text: "another client" },
    });
    await other.release();
    expect(await redlock.isLocked(KEY)).toBe(false);
  });

  it("does not guess which of several prefixes is meant", async () => {
    const masters = memory();
    masters.redlock({ prefix: "app:" });
    masters.redlock();
    const holding = masters.hold(KEY);
    await expect(holding).rejects.toThrow(
      'hold(key): found clients with the prefix "app:" and "redlock:", expected one of them: ' +
        "take the key by a client that has it, masters.redlock({ prefix }).acquire(key)",
    );
    await expect(holding).rejects.toThrow(LockConfigError);
  });

  it.each([5, undefined, "", ["a", "b"]])("refuses %j for a key, and so does lose", async (key) => {
    const masters = memory();
    const refusal = { code: "ERR_REDLOCK_KEY" };
    await expect(masters.hold(key as string)).rejects.toMatchObject(refusal);
    await expect(masters.lose(key as string)).rejects.toMatchObject(refusal);
  });
});

describe("lose", () => {
  it("tells by a code that the key has no holder", async () => {
    await expect(memory().lose(KEY)).rejects.toMatchObject({
      code: "ERR_REDLOCK_CONFIG",
      message:
        'lose(key): found no holder of "account:42", expected a key that a client of these masters holds',
    });
  });
});

describe("advance", () => {
  it.each([
    [Number.NaN, "NaN"],
    [undefined, "nothing"],
    ["3000", '"3000"'],
    [-500, "-500"],
    [0.5, "0.5"],
    [Infinity, "Infinity"],
    [2 ** 31, "2147483648"],
  ])("refuses %j", async (ms, found) => {
    const advancing = memory({ virtualTime: true }).advance(ms as number);
    await expect(advancing).rejects.toMatchObject({
      code: "ERR_REDLOCK_CONFIG",
      message: `advance(ms): found ${found}, expected whole milliseconds from 0 to 2147483647`,
    });
  });

  it("tells by a code that time is real", async () => {
    await expect(memory().advance(1)).rejects.toMatchObject({ code: "ERR_REDLOCK_CONFIG" });
  });

  it("passes one time after the other when it is called twice", async () => {
    const masters = memory({ virtualTime: true });
    const redlock = masters.redlock({ ttl: 15_000 });
    const lock = await redlock.acquire(KEY, { heartbeat: false });
    const before = lock.remaining();
    await Promise.all([masters.advance(1_000), masters.advance(2_000)]);
    expect(lock.remaining()).toBe(before - 3_000);
  });

  it("passes when it is called by what happens in a time that passes", async () => {
    const masters = memory({ virtualTime: true });
    const lock = await masters.redlock().acquire(KEY, { heartbeat: false });
    const passed = vi.fn();
    lock.signal.addEventListener("abort", () => void masters.advance(1_000).then(passed));
    await masters.advance(15_000);
    await masters.advance(0);
    expect(passed).toHaveBeenCalledOnce();
  });

  it("goes on after a time that was refused", async () => {
    const masters = memory({ virtualTime: true });
    await expect(masters.advance(-1)).rejects.toThrow("-1");
    await masters.advance(1);
  });
});
