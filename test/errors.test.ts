import { readdirSync, readFileSync } from "node:fs";
import { expect, expectTypeOf, it } from "vitest";
import {
  LockConflictError,
  LockKeyError,
  LockLostError,
  LockUnavailableError,
  type RedlockErrorCode,
} from "../src/index.ts";

const SOURCE = new URL("../src/", import.meta.url);

const HOLDER = { text: "worker", fencingToken: 2, since: 1 };

/** Every code in a text. */
function codesIn(text: string): string[] {
  return [...new Set(text.match(/\bERR_REDLOCK_[A-Z_]+[A-Z]\b/g))].sort();
}

/** The union of all codes, as it stands in src/errors.ts. */
const union = codesIn(
  /type RedlockErrorCode =[^;]*;/.exec(readFileSync(new URL("errors.ts", SOURCE), "utf8"))![0],
);

it("has the code of every error in one union", () => {
  const files = readdirSync(SOURCE, { recursive: true }).map(String);
  const texts = files
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(new URL(name, SOURCE), "utf8"));
  expect(codesIn(texts.join("\n"))).toEqual(union);
  expectTypeOf<"ERR_REDLOCK_CANCELLED">().toExtend<RedlockErrorCode>();
  expectTypeOf<"ERR_REDLOCK_MAX_AGE">().toExtend<RedlockErrorCode>();
});

it("documents each code, and no other", () => {
  const page = readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8");
  const rows = Array.from(page.matchAll(/^\| `(ERR_[A-Z_]+)`/gm), ([, code = ""]) => code);
  expect(rows.sort()).toEqual(union);
});

it("gives each error only the data that are known", () => {
  const keys = ["a"];
  const undefinedIn = [
    new LockLostError({ keys, reason: "taken", fencingToken: 1, heldFor: 1 }),
    new LockLostError({ keys, reason: "blocked", fencingToken: 1, heldFor: 1, blockedFor: 900 }),
    new LockUnavailableError({ keys, votes: [], quorum: 1, nodeTimeout: 50 }),
    new LockConflictError({ keys, key: "a", holder: HOLDER, retryAfter: 1, ahead: 0 }),
    new LockConflictError({ keys, key: "a", holder: HOLDER, limit: 3, retryAfter: 1, ahead: 0 }),
    new LockKeyError({ message: "found nothing" }),
    new LockKeyError({ message: "found nothing", path: "data.a", job: "q:1", cause: "why" }),
  ].flatMap((error) => Object.entries(error).filter(([, value]) => value === undefined));
  expect(undefinedIn).toEqual([]);
  expect(new LockLostError({ keys, reason: "taken", fencingToken: 1, heldFor: 1 }).votes).toEqual(
    [],
  );
});

it("counts one master in the singular, and names no keys where there are none", () => {
  const votes = [{ node: "a:1", vote: "timed-out", cause: undefined } as const];
  const error = new LockUnavailableError({ keys: [], votes, quorum: 1, nodeTimeout: 50 });
  expect(error.message).toBe("0 of 1 master answered within 50 ms (need 1): a:1 timed out");
});
