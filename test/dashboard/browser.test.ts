import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import {
  createDashboard,
  type DashboardOptions,
  toNodeListener,
} from "../../src/dashboard/index.ts";
import { Redlock } from "../../src/index.ts";
import { engineOf } from "../../src/redlock/redlock.ts";
import { Browser, findChromium, type View } from "../support/chromium.ts";
import { redisClients, useRedisNodes } from "../support/redis.ts";
import { keyPath, memoryNodes, serve } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const chromium = findChromium();
if (chromium === undefined) {
  process.stderr.write(
    "\nSKIPPED: no chromium on the PATH, so the dashboard is not tried in a browser (apt-get install chromium)\n\n",
  );
}

const EVIL = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
const LONG = "k".repeat(500);
const REVERSED = "a\u202Eb\u2066c";

/** Ratios of all visible texts to what is behind them that are below 4.5. */
const FAINT = `(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length < 4 || colour[3] === 1) return colour.slice(0, 3);
    }
  };
  return [...document.body.querySelectorAll("*")].flatMap((node) => {
    const text = [...node.childNodes].find((child) => child.nodeType === 3 && child.data.trim());
    if (!text || node.closest("script, noscript")) return [];
    const [a, b] = [parse(getComputedStyle(node).color).slice(0, 3), behind(node)].map(light);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    return ratio < 4.5 ? [text.data.trim() + " " + ratio.toFixed(2)] : [];
  });
})()`;

describe.skipIf(chromium === undefined)("the dashboard in a browser", () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await Browser.start(chromium ?? "");
  });
  afterAll(async () => await browser?.close());

  /** Opens a dashboard, and expects no error in the console when the test ends. */
  async function open(redlock: Redlock, options: DashboardOptions = {}, path = "/", view?: View) {
    const listener = toNodeListener(createDashboard(redlock, options));
    const url = await serve((request, response) => void listener(request, response));
    const page = await browser.open(url + path, view);
    onTestFinished(async () => await page.close());
    onTestFinished(() => expect(page.problems).toEqual([]));
    const text = () => page.evaluate<string>("document.body.innerText");
    return { page, url, text };
  }

  it("shows hostile keys as text, readable at 380 and 1280 px, light and dark", async () => {
    const redlock = memoryNodes().redlock();
    await redlock.acquire([EVIL, LONG, REVERSED]);
    for (const holder of [LONG, "b"]) await redlock.acquire("pool", { limit: 3, holder });
    const options = { actions: { authorize: () => true } };
    const { page, url } = await open(redlock, options);
    for (const path of ["/", keyPath(EVIL), keyPath(LONG), keyPath(REVERSED), keyPath("pool")]) {
      await page.go(url + path);
      for (const width of [380, 1_280]) {
        for (const dark of [false, true]) {
          await page.show({ width, dark });
          expect(await page.evaluate(FAINT)).toEqual([]);
          expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(
            await page.evaluate("document.documentElement.clientWidth"),
          );
        }
      }
      expect(await page.evaluate("document.title")).not.toBe("owned");
      expect(await page.evaluate("document.images.length")).toBe(0);
    }
    await page.go(url);
    const keys = await page.evaluate<string[]>(
      "[...document.querySelectorAll('tbody th a')].map((a) => a.textContent)",
    );
    expect(keys.toSorted()).toEqual([EVIL, LONG, "a\uFFFDb\uFFFDc", "pool"].toSorted());
  });

  it("works by keyboard alone, from the list to the request to stop a holder", async () => {
    const masters = memoryNodes();
    const redlock = masters.redlock();
    await masters.hold("account:42");
    const cancel = vi.spyOn(redlock, "cancel");
    const { page, text } = await open(redlock, { actions: { authorize: () => true } });
    const focus = () =>
      page.evaluate<string>(
        "document.activeElement.textContent.trim() || document.activeElement.name || ''",
      );
    const goTo = async (name: string) => {
      for (let i = 0; i < 12 && (await focus()) !== name; i++) await page.type("Tab");
      expect(await focus()).toBe(name);
      const outline = "getComputedStyle(document.activeElement).outlineStyle";
      expect(await page.evaluate(outline)).not.toBe("none");
    };
    await page.type("Tab");
    expect(await focus()).toBe("Skip to the content");
    await goTo("account:42");
    let loaded = page.loaded();
    await page.type("Enter");
    await loaded;
    await goTo("reason");
    await page.type("wrong customer");
    await goTo("Ask it to stop");
    loaded = page.loaded();
    await page.type("Enter");
    await loaded;
    expect(await text()).toContain("was asked to stop, and still has the key");
    expect(cancel.mock.calls).toEqual([
      ["account:42", expect.stringContaining("wrong customer"), { slot: undefined }],
    ]);
  });

  it("refreshes, keeps focus, selection and typed text, and can be paused", async () => {
    const masters = memoryNodes();
    const redlock = masters.redlock();
    const first = await masters.hold("b");
    const { page, text } = await open(redlock);
    await page.evaluate("document.querySelector('tbody a').focus()");
    await page.evaluate("document.querySelector('input').value = 'half a patt'");
    await page.evaluate("getSelection().selectAllChildren(document.querySelector('h2'))");
    await masters.hold("a");
    await waitFor(async () => expect(await text()).toMatch(/\na\s/));
    expect(await page.evaluate("document.activeElement.textContent")).toBe("b");
    expect(await page.evaluate("document.querySelector('input').value")).toBe("half a patt");
    expect(await page.evaluate("getSelection().toString()")).toBe("Keys");
    await page.evaluate("document.querySelector('#pause').click()");
    expect(await text()).toContain("Paused");
    await first.release();
    const asked = "performance.getEntriesByType('resource').length";
    const before = await page.evaluate(asked);
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    expect(await page.evaluate(asked)).toBe(before);
    await page.evaluate("document.querySelector('#pause').click()");
    await waitFor(async () => expect(await text()).not.toMatch(/\nb\s/));
    await masters.hold("z");
    await waitFor(async () => expect(await text()).toMatch(/\na\s[^]*\nz\s/));
    await page.evaluate("document.querySelector('tbody tr:last-child a').focus()");
    // A key with a waiter moves to the front.
    redlock.acquire("z", { waitTimeout: 60_000 }).catch(() => undefined);
    await waitFor(async () => expect(await text()).toMatch(/\nz\s[^]*\na\s/));
    expect(await page.evaluate("document.activeElement.textContent")).toBe("z");
  });

  it("works without scripts", async () => {
    const redlock = memoryNodes().redlock();
    await redlock.acquire("k");
    const { page } = await open(redlock, {}, "/", { scripts: false });
    const { root } = await page.send("DOM.getDocument");
    const { nodeId } = root as { nodeId: number };
    const find = async (selector: string) =>
      (await page.send("DOM.querySelector", { nodeId, selector }))["nodeId"];
    expect(await find("noscript a")).not.toBe(0);
    expect(await find("#pause:not([hidden])")).toBe(0);
    expect(await find("tbody a[href='key?key=k']")).not.toBe(0);
  });

  describe("over real masters", () => {
    const nodes = useRedisNodes(3);

    it("shows a killed master, and that locks are unavailable without two", async () => {
      const redlock = new Redlock({ ...nodes.redlockOptions, nodeTimeout: 250 });
      onTestFinished(async () => await redlock.close());
      await redlock.acquire("account:42");
      const { page, text } = await open(redlock);
      expect(await text()).toContain("3/3");
      await nodes.kill(0);
      await waitFor(async () => {
        expect(await text()).toMatch(/2\/3[^]*account:42[^]*no answer/);
      });
      await nodes.kill(1);
      await waitFor(async () => {
        expect(await text()).toContain(
          "Locks are unavailable: 1 of 3 masters can vote, a lock needs 2.",
        );
        expect(await text()).toContain("Too few masters answer to list keys.");
      });
      expect(await page.evaluate("document.querySelector('#live').textContent")).toBe("Live");
    });

    it("shows 10,000 keys a hundred at a time", async () => {
      const now = Date.now() * 1_000;
      for (const client of redisClients(nodes)) {
        const batch = client.pipeline();
        for (let i = 0; i < 10_000; i++)
          batch.set(
            `redlock:k${String(i).padStart(4, "0")}`,
            `${now + 2 * i}:o${i}:x`,
            "PX",
            90_000,
          );
        batch.zadd("redlock:@waiters:k9999", 0, "1000000000001:bull:q:0001:7");
        await batch.exec();
      }
      const redlock = new Redlock({ ...nodes.redlockOptions, nodeTimeout: 2_000 });
      onTestFinished(async () => await redlock.close());
      const look = vi.spyOn(engineOf(redlock), "survey");
      const { page, text } = await open(redlock, {}, "/", { scripts: false });
      expect(look).toHaveBeenCalledTimes(101);
      await page.show({ scripts: true });
      expect(await text()).toContain("10,000");
      expect(await text()).toContain("page 1 of 100");
      const keys = "[...document.querySelectorAll('tbody a')].map((a) => a.textContent)";
      expect((await page.evaluate<string[]>(keys)).slice(0, 2)).toEqual(["k9999", "k0000"]);
      const loaded = page.loaded();
      await page.evaluate("document.querySelector('nav a[rel=next]').click()");
      await loaded;
      expect((await page.evaluate<string[]>(keys))[0]).toBe("k0099");
    });
  });
});
