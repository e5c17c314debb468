import { createHash } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import { createDashboard } from "../../src/dashboard/index.ts";
import { LockConfigError, type Redlock } from "../../src/index.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import { ask, keyPath, memoryNodes, wordsOf } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

/** Waits until a key has so many waiters. */
async function waiting(redlock: Redlock, key: string, count: number): Promise<void> {
  await waitFor(async () => expect((await redlock.inspect(key)).waiting).toBe(count));
}

/** The keys of a list, in order. */
function keysIn(page: string): string[] {
  return Array.from(page.matchAll(/<a href="key\?key=([^"]*)"/g), ([, key = ""]) =>
    decodeURIComponent(key),
  );
}

describe("the list", () => {
  it("shows the keys with the most waiters first, with holder and times", async () => {
    const masters = memoryNodes();
    const [redlock, other] = [masters.redlock(), masters.redlock()];
    await redlock.acquire(["a", "b", "c"], { holder: "the nightly import" });
    for (const key of ["b", "b", "c"])
      other.acquire(key, { waitTimeout: 60_000 }).catch(() => undefined);
    await waiting(redlock, "b", 2);
    await waiting(redlock, "c", 1);
    const { response, text } = await ask(redlock)("/");
    expect(response.status).toBe(200);
    expect(keysIn(text)).toEqual(["b", "c", "a"]);
    expect(wordsOf(text)).toMatch(/Keys 3 held .* Waiting 3 for all .* Masters 3\/3 can vote/);
    expect(wordsOf(text)).toMatch(/b 2 the nightly import [\d.]+ m?s .*? s 3 of 3 c 1/);
  });

  it("asks about the 100 keys of a page at most, and pages share one walk", async () => {
    const redlock = memoryNodes().redlock();
    const keys = Array.from({ length: 250 }, (_, i) => `k${String(i).padStart(3, "0")}`);
    await Promise.all(keys.map((key) => redlock.acquire(key)));
    const look = vi.spyOn(engineOf(redlock), "survey");
    const walk = vi.spyOn(redlock, "keys");
    const page = ask(redlock);
    const first = await page("/");
    // One more, to see how the masters are.
    expect(look).toHaveBeenCalledTimes(101);
    expect(keysIn(first.text)).toEqual(keys.slice(0, 100));
    expect(wordsOf(first.text)).toContain("page 1 of 3");
    expect(first.text).toContain('href="./?key=*&amp;page=2"');
    const last = await page("/?page=3");
    expect(keysIn(last.text)).toEqual(keys.slice(200));
    expect(walk).toHaveBeenCalledTimes(1);
    for (const odd of ["99", "0", "-1", "x"])
      expect((await page(`/?page=${odd}`)).text).toMatch(/page [13] of 3/);
  });

  it("takes a pattern, and says when no key matches", async () => {
    const redlock = memoryNodes().redlock();
    await redlock.acquire(["account:1", "order:1"]);
    const page = ask(redlock);
    expect(keysIn((await page("/?key=account:*")).text)).toEqual(["account:1"]);
    expect(wordsOf((await page("/?key=none")).text)).toContain("No such key is held");
  });

  it("shows how long locks of this process were waited for", async () => {
    const redlock = memoryNodes().redlock();
    const page = ask(redlock);
    expect((await page("/")).text).not.toContain("in this process");
    await redlock.acquire("k");
    expect(wordsOf((await page("/")).text)).toMatch(
      /in this process latest \d+ ms, largest \d+ ms/,
    );
  });
});

describe("a key with a limit", () => {
  it("shows how many slots are taken, and each holder", async () => {
    const redlock = memoryNodes().redlock();
    const held = [
      await redlock.acquire("k", { limit: 3, holder: "import <a>" }),
      await redlock.acquire("k", { limit: 3, holder: "import b" }),
    ];
    const page = ask(redlock);
    expect(wordsOf((await page("/")).text)).toMatch(
      /k 0 2 of 3 slots taken, the oldest by import &lt;a&gt; \d+ ms/,
    );
    const { text } = await page(keyPath("k"));
    expect(wordsOf(text)).toMatch(
      new RegExp(
        `k has 2 of 3 slots taken Holders \\(2 of 3\\) .*slot ${held[0]?.slot} import &lt;a&gt;, for .*slot ${held[1]?.slot} import b, for`,
      ),
    );
    expect(wordsOf(text)).toContain("memory-1:6379 2 of 3 slots taken");
  });
});

describe("one key", () => {
  it("shows its holder, its wait list, and what each master knows", async () => {
    const masters = memoryNodes();
    const redlock = masters.redlock();
    await masters.hold("k");
    void redlock.acquire("k", { waitTimeout: 60_000, holder: "import <a>" }).catch(() => undefined);
    await waiting(redlock, "k", 1);
    const { response, text } = await ask(redlock)(keyPath("k"));
    expect(response.status).toBe(200);
    expect(wordsOf(text)).toMatch(/k has been held for .* by another client.* fencing token \d+ /);
    expect(wordsOf(text)).toMatch(/1 import &lt;a&gt;, for /);
    for (const node of ["memory-1", "memory-2", "memory-3"])
      expect(wordsOf(text)).toContain(`${node}:6379 held, expires in`);
    expect(text).not.toContain("<form");
  });

  it("refuses what is no key", async () => {
    const page = ask(memoryNodes().redlock());
    for (const path of ["/key", "/key?key=", "/key?key=@node"]) {
      const { response, text } = await page(path);
      expect(response.status).toBe(400);
      expect(text).toContain("lock key: found");
    }
  });
});

const HOSTILE = [
  `<script>alert(1)</script>`,
  `"><img src=x onerror='alert(1)'>&amp;`,
  `rtl:\u202Egnp.exe\u2066\u0000\u001B[31m`,
  `é${"k".repeat(498)}`,
  `javascript:alert(1)`,
  `__proto__`,
  `a?b=c&d#e/../%00`,
];

it("shows hostile keys and holders as what they are, everywhere", async () => {
  const redlock = memoryNodes().redlock();
  for (const key of HOSTILE) await redlock.acquire(key, { holder: `${key.slice(0, 30)} holder` });
  const page = ask(redlock, { actions: { authorize: () => true } });
  const list = await page(`/?${new URLSearchParams({ key: "*" }).toString()}`);
  const links = Array.from(list.text.matchAll(/<a href="(key\?[^"]*)"/g), ([, link = ""]) => link);
  expect(links).toHaveLength(HOSTILE.length);
  const texts = [list.text, (await page(`/?key=${encodeURIComponent(HOSTILE[1]!)}`)).text];
  for (const link of links) {
    const { response, text } = await page(`/${link}`);
    expect(response.status).toBe(200);
    expect(wordsOf(text), link).toContain("has been held for");
    texts.push(text);
  }
  for (const text of texts) {
    // The script of the page is the only one, and no attribute but ours begins an action.
    expect(text.match(/<script/g)).toHaveLength(1);
    const tags = text.replaceAll(/"[^"]*"/g, '""');
    expect(tags).not.toMatch(/<img|<[^>]*\son\w+=|href="javascript/);
    expect(text).not.toMatch(/\p{Bidi_Control}/u);
    expect(text).not.toMatch(/(?!\n)\p{Control}/u);
  }
});

it("has a policy that allows only the style and the script of the page", async () => {
  const { response, text } = await ask(memoryNodes().redlock())("/");
  const hash = (tag: string): string => {
    const [, inside = ""] = new RegExp(`<${tag}>(.*?)</${tag}>`, "s").exec(text) ?? [];
    return createHash("sha256").update(inside).digest("base64");
  };
  expect(response.headers.get("content-security-policy")?.split("; ")).toEqual([
    "default-src 'none'",
    `style-src 'sha256-${hash("style")}'`,
    `script-src 'sha256-${hash("script")}'`,
    "img-src data:",
    "connect-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ]);
});

it.each(["/", "/key?key=k", "/key", "/none", "/locks", "/cancel"])(
  "sends %s for no other site, cache or frame",
  async (path) => {
    const page = ask(memoryNodes().redlock(), path === "/locks" ? { basePath: "/locks" } : {});
    const { response } = await page(path, path === "/cancel" ? { method: "POST" } : {});
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    expect(response.headers.get("referrer-policy")).toBe("no-referrer");
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
  },
);

it("answers other methods with 405, other paths with 404, and HEAD without a body", async () => {
  const page = ask(memoryNodes().redlock());
  for (const [method, path, allow] of [
    ["POST", "/", "GET, HEAD"],
    ["DELETE", "/key?key=k", "GET, HEAD"],
    ["GET", "/cancel?key=k", "POST"],
  ] as const) {
    const { response } = await page(path, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, allow]);
  }
  for (const path of ["/none", "/key/", "/__proto__", "//", "/toString"])
    expect((await page(path)).response.status).toBe(404);
  const head = await page("/", { method: "HEAD" });
  expect([head.response.status, head.text]).toEqual([200, ""]);
});

it("serves under a path, with links that work behind a proxy too", async () => {
  const redlock = memoryNodes().redlock();
  await redlock.acquire("k");
  const page = ask(redlock, { basePath: "/admin/locks/" });
  const { response } = await page("/admin/locks?page=2");
  expect([response.status, response.headers.get("location")]).toEqual([308, "locks/?page=2"]);
  const { text } = await page("/admin/locks/");
  for (const [, href = ""] of text.matchAll(/(?:href|action)="([^"]*)"/g))
    expect(href).toMatch(/^(\.\/|key|#main|data:|$)/);
  for (const path of ["/", "/admin/locksmith/", "/key?key=k"])
    expect((await page(path)).response.status).toBe(404);
});

it("says what is known when too few masters answer", async () => {
  const masters = memoryNodes();
  const redlock = masters.redlock({ nodeTimeout: 100 });
  await redlock.acquire("k");
  const page = ask(redlock);
  masters.fail();
  const list = await page("/");
  expect(list.response.status).toBe(200);
  expect(wordsOf(list.text)).toMatch(
    /Locks are unavailable: 0 of 3 masters can vote, a lock needs 2\./,
  );
  expect(wordsOf(list.text)).toContain("Too few masters answer to list keys.");
  expect(wordsOf(list.text)).toContain("memory-1:6379 no answer");
  const key = await page(keyPath("k"));
  expect(key.response.status).toBe(200);
  expect(wordsOf(key.text)).toContain("NOT CERTAIN");
  masters.restore();
  expect(keysIn((await page("/")).text)).toEqual(["k"]);
});

it("says so when its Redlock is closed", async () => {
  const redlock = memoryNodes().redlock();
  const page = ask(redlock);
  await redlock.close();
  for (const path of ["/", "/key?key=k"]) expect((await page(path)).response.status).toBe(503);
});

it.each<[options: object, message: RegExp]>([
  [{ basPath: "/x" }, /^basPath: found an unknown option, expected "basePath"\?/],
  [{ basePath: "locks" }, /^basePath: found "locks", expected a path/],
  [{ basePath: 5 }, /^basePath: found 5/],
  [{ actions: true }, /^actions: found true, expected an object with authorize/],
  [{ actions: {} }, /^actions\.authorize: found nothing, expected a function/],
  [{ actions: { authorise: () => true } }, /^actions\.authorise: .*"authorize"\?/],
])("refuses the options %j, and names the wrong one", (options, message) => {
  const create = () => createDashboard(memoryNodes().redlock(), options);
  expect(create).toThrow(LockConfigError);
  expect(create).toThrow(message);
});

it("refuses what is no Redlock", () => {
  expect(() => createDashboard({} as Redlock)).toThrow(/^redlock: found .*expected a Redlock/);
});
