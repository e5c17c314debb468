import type { Job } from "bullmq";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { LockConfigError, LockKeyError } from "../../src/errors.ts";
import type { KeyJob } from "../../src/keys/job.ts";
import { normaliseKeys } from "../../src/keys/normalise.ts";
import { type KeyOption, createKeyResolver } from "../../src/keys/resolver.ts";

const job = { id: "42", name: "charge", queueName: "orders", data: { a: [2, 1, 2] }, opts: {} };

function resolve(key: unknown): string[] | null {
  return createKeyResolver(key as KeyOption)(job)?.keys ?? null;
}

describe("a key resolver", () => {
  it("sorts the keys of a template", () => {
    expect(resolve("k:{{data.a[*]}}")).toEqual(["k:1", "k:2"]);
  });

  it("joins the keys of several templates without duplicates, or gives none", () => {
    const transfer = ["account:{{data.from}}", "account:{{data.to}}", "audit"];
    const keys = (data: unknown) => createKeyResolver(transfer)({ ...job, data })?.keys;
    expect(keys({ from: 2, to: 1 })).toEqual(["account:1", "account:2", "audit"]);
    expect(keys({ from: 1, to: 1 })).toEqual(["account:1", "audit"]);
    expect(() => keys({ from: 1 })).toThrow("data.to: found nothing, expected a string");
    const half = Array.from({ length: 60 }, (_, index) => index);
    const both = createKeyResolver(["a:{{data.a[*]}}", "b:{{data.b[*]}}"]);
    expect(() => both({ ...job, data: { a: half, b: half } })).toThrow(
      "job orders:42: the key templates: found 120 different keys, expected at most 100 for one lock",
    );
    expect(both({ ...job, data: { a: half, b: [1] } })?.keys).toHaveLength(61);
  });

  it.each([
    [[], "key: found an empty list, expected at least one template"],
    [["a", "{{dta.id}}"], 'key[1]: found "dta" at column 3'],
    [["a", ["b"]], "key[1]: found an array of 1, expected a key template"],
    [["a", null], "key[1]: found null, expected a key template"],
  ])("names the problem of the templates %j", (key, message) => {
    expect(() => createKeyResolver(key as string[])).toThrow(LockConfigError);
    expect(() => createKeyResolver(key as string[])).toThrow(message);
  });

  it("sorts the keys of a function, drops repeated ones, and passes null on", () => {
    expect(resolve(() => "b")).toEqual(["b"]);
    expect(resolve(() => ["b", "a", "b"])).toEqual(["a", "b"]);
    expect(resolve(() => null)).toBeNull();
    expect(resolve((given: KeyJob) => `k:${given.id}`)).toEqual(["k:42"]);
  });

  it("shortens the long keys of a function as those of a template", () => {
    const long = "x".repeat(600);
    expect(resolve(() => long)).toEqual(resolve(long));
    expect(resolve(() => long)?.[0]).toHaveLength(128 + 8 + 64);
    expect(resolve(() => "x".repeat(1_000_000))?.[0]).toHaveLength(200);
  });

  it("gives keys that Redlock accepts unchanged", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), fc.string(), (list, text) => {
        for (const key of [() => list, () => text, "a:{{data}}"])
          try {
            const keys = createKeyResolver(key)({ ...job, data: text });
            expect(keys).toEqual(normaliseKeys(keys?.keys ?? []));
          } catch (error) {
            expect(error).toBeInstanceOf(LockKeyError);
          }
      }),
    );
  });

  it.each<[string, () => unknown, string]>([
    [
      "nothing",
      () => undefined,
      "returned nothing, expected a string, an array of strings, or null for no lock",
    ],
    ["an empty string", () => "", "returned an empty string"],
    ["an object", () => ({ name: "a" }), "returned an object"],
    ["a number", () => 5, "returned 5"],
    ["false", () => false, "returned false"],
    ["an empty array", () => [], "returned an empty array"],
    ["an array with nothing in it", () => ["a", undefined], "returned nothing, expected a string"],
    ["an array with null", () => ["a", null], "returned null, expected a string"],
    ["an array with an empty string", () => ["a", ""], "returned an empty string"],
    ["a nested array", () => [["a"]], "returned an array of 1"],
    ["an array of promises", () => [Promise.resolve("a")], "returned an object"],
    [
      "a reserved key",
      () => "@guard",
      'returned "@guard", expected a key that does not begin with "@"',
    ],
    ["half a surrogate pair", () => "a\uD83D", "returned half a surrogate pair"],
    [
      "too many keys",
      () => Array.from({ length: 101 }, (_, n) => `k${n}`),
      "returned 101 different keys, expected at most 100",
    ],
    [
      "a promise",
      async () => "a",
      "returned a promise, expected a string, an array of strings, or null for no lock; key functions are synchronous",
    ],
    // oxlint-disable-next-line unicorn/no-thenable -- a refused value
    ["a thenable", () => ({ then: 5 }), "returned a promise"],
  ])("refuses a function that returns %s", (_, key, message) => {
    const act = () => resolve(key);
    expect(act).toThrow(LockKeyError);
    expect(act).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(
          new RegExp(`^job orders:42: the key function ${message}`),
        ) as string,
        job: "orders:42",
      }),
    );
  });

  it("names the job for which a function threw, and keeps the cause", () => {
    const cause = new TypeError("no account");
    const act = () =>
      resolve(() => {
        throw cause;
      });
    expect(act).toThrow(
      expect.objectContaining({
        name: "LockKeyError",
        message: "job orders:42: the key function threw TypeError: no account",
        job: "orders:42",
        cause,
      }),
    );
  });

  it("throws only LockKeyError, whatever a function throws or returns", () => {
    const unreadable = Object.defineProperty(new Error("x"), "message", {
      get() {
        throw new Error("boom");
      },
    });
    const revoked = Proxy.revocable([], {});
    revoked.revoke();
    for (const thrown of [unreadable, undefined, null, "text", Symbol("s")])
      expect(() =>
        resolve(() => {
          throw thrown;
        }),
      ).toThrow(LockKeyError);
    expect(() => resolve(() => revoked.proxy)).toThrow(LockKeyError);
  });

  it.each([undefined, null, 5, {}, [], "", "{{dta.id}}"])(
    "refuses %j as an option before any job comes",
    (key) => {
      expect(() => createKeyResolver(key as string)).toThrow(LockConfigError);
    },
  );

  it("takes a BullMQ job", () => {
    expectTypeOf<Job<{ a: number }, string, "charge">>().toExtend<KeyJob>();
  });
});

describe("a key function that fails later", () => {
  const rejections: unknown[] = [];
  const collect = (reason: unknown) => rejections.push(reason);
  beforeEach(() => process.prependListener("unhandledRejection", collect));
  afterEach(() => process.off("unhandledRejection", collect));

  it("does not end the process with an unhandled rejection", async () => {
    expect(() => resolve(() => Promise.reject(new Error("late")))).toThrow(
      "key functions are synchronous",
    );
    // Node reports unhandled rejections after the microtasks, before this immediate.
    await new Promise((done) => setImmediate(done));
    expect(rejections).toEqual([]);
  });
});
