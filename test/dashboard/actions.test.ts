import { describe, expect, it, vi } from "vitest";
import type { DashboardActions } from "../../src/dashboard/index.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import { positionOf } from "../../src/waiters/waiter.ts";
import { ask, keyPath, memoryNodes, wordsOf } from "./support.ts";

/** A key that is held, and a page on which `authorize` decides. */
async function heldKey(authorize: DashboardActions["authorize"] = () => true) {
  const masters = memoryNodes();
  const redlock = masters.redlock();
  const lock = await masters.hold("k");
  const cancel = vi.spyOn(redlock, "cancel");
  return { redlock, lock, cancel, page: ask(redlock, { actions: { authorize } }) };
}

/** The fields of the form on a page. */
function formOf(text: string): Record<string, string> {
  const fields = text.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)"/g);
  return Object.fromEntries(Array.from(fields, ([, name = "", value = ""]) => [name, value]));
}

function post(fields: Record<string, string>, headers: Record<string, string> = {}): RequestInit {
  return { method: "POST", body: new URLSearchParams(fields), headers };
}

describe("a request to stop", () => {
  it("asks the holder that the viewer saw, with a reason, and shows the outcome", async () => {
    const { page, cancel, lock } = await heldKey();
    const form = formOf((await page(keyPath("k"))).text);
    const reason = "wrong customer";
    const { response } = await page("/cancel?key=k", post({ ...form, reason }));
    expect([response.status, response.headers.get("location")]).toEqual([
      303,
      `key?key=k&asked=${lock.fencingToken}`,
    ]);
    expect(cancel.mock.calls).toEqual([
      ["k", expect.stringMatching(/^an operator on .+: wrong/), { slot: undefined }],
    ]);
    const next = `/${response.headers.get("location")}`;
    expect(wordsOf((await page(next)).text)).toContain("was asked to stop, and still has the key");
    await lock.release();
    expect(wordsOf((await page(next)).text)).toContain("that was asked to stop has stopped");
  });

  it("does not reach the next holder", async () => {
    const { page, cancel, lock, redlock } = await heldKey();
    const form = formOf((await page(keyPath("k"))).text);
    await lock.release();
    await redlock.acquire("k");
    expect((await page("/cancel?key=k", post(form))).response.status).toBe(303);
    expect(cancel).not.toHaveBeenCalled();
  });

  it.each<[what: string, change: (form: Record<string, string>) => RequestInit, path?: string]>([
    ["without a token", ({ holder = "" }) => post({ holder })],
    ["with the token of another dashboard", (form) => post({ ...form, token: "A".repeat(43) })],
    ["with a token that is none", (form) => post({ ...form, token: "é" })],
    ["for another key", (form) => post(form), "/cancel?key=other"],
    ["for another holder", (form) => post({ ...form, holder: "7" })],
    ["from another site", (form) => post(form, { "sec-fetch-site": "cross-site" })],
    ["from a site beside it", (form) => post(form, { "sec-fetch-site": "same-site" })],
    ["that is too large", (form) => post({ reason: "x".repeat(10_000), ...form })],
  ])("%s is refused", async (_, change, path = "/cancel?key=k") => {
    const { page, cancel } = await heldKey();
    const form = formOf((await page(keyPath("k"))).text);
    expect(Object.keys(form)).toEqual(["holder", "token"]);
    expect((await page(path, change(form))).response.status).toBe(403);
    expect(cancel).not.toHaveBeenCalled();
  });

  it("is refused, and not offered, while authorize does not return true", async () => {
    let verdict: unknown = true;
    const { page, cancel } = await heldKey(() => verdict as boolean);
    const form = formOf((await page(keyPath("k"))).text);
    for (verdict of [false, undefined, 1, "yes", Promise.resolve(false)]) {
      expect((await page(keyPath("k"))).text).not.toContain("<form");
      expect((await page("/cancel?key=k", post(form))).response.status).toBe(403);
    }
    verdict = Promise.resolve(true);
    expect((await page("/cancel?key=k", post(form))).response.status).toBe(303);
    expect(cancel).toHaveBeenCalledTimes(1);
  });

  it("fails with what authorize throws", async () => {
    const { page, cancel } = await heldKey(() => {
      throw new Error("the session store is down");
    });
    await expect(page("/cancel?key=k", post({}))).rejects.toThrow("the session store is down");
    expect(cancel).not.toHaveBeenCalled();
  });

  it("is refused by a dashboard without actions", async () => {
    const masters = memoryNodes();
    const redlock = masters.redlock();
    await masters.hold("k");
    const cancel = vi.spyOn(redlock, "cancel");
    const { response, text } = await ask(redlock)("/cancel?key=k", post({}));
    expect(response.status).toBe(403);
    expect(text).toContain("read-only");
    expect(cancel).not.toHaveBeenCalled();
  });
});

describe("a request to wake", () => {
  it("is offered for a free key with waiters, wakes the first one, and shows it", async () => {
    const masters = memoryNodes();
    const redlock = masters.redlock();
    const page = ask(redlock, { actions: { authorize: () => true } });
    expect((await page(keyPath("k"))).text).not.toContain("Wake it");
    // A parked job of a process that is gone.
    const position = positionOf(1_000, "id bull:invoices", "7");
    const waiter = { position, priority: 0, queueId: "id bull:invoices", run: 1 };
    const how = { state: "parked", tries: 0, heldBackFor: 1_000 } as const;
    await engineOf(redlock).waitLists.join({ ...waiter, replaceable: false }, ["k"], how);
    const form = formOf((await page(keyPath("k"))).text);
    expect((await page("/wake?key=other", post(form))).response.status).toBe(403);
    const { response } = await page("/wake?key=k", post(form));
    const location = response.headers.get("location");
    expect([response.status, location]).toEqual([303, "key?key=k&wake=woken"]);
    expect(wordsOf((await page(`/${location}`)).text)).toContain("is told to wake it");
  });

  it("is refused by a dashboard without actions", async () => {
    const redlock = memoryNodes().redlock();
    const wake = vi.spyOn(redlock, "wake");
    expect((await ask(redlock)("/wake?key=k", post({}))).response.status).toBe(403);
    expect(wake).not.toHaveBeenCalled();
  });
});
