import type { Job } from "bullmq";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { RedlockAdapter } from "../../src/bull-board/index.ts";
import { withLock } from "../../src/index.ts";
import { Gate, useBench } from "../bullmq/support.ts";
import { Browser, findChromium } from "../support/chromium.ts";
import { serveBoard } from "./support.ts";
import { waitFor } from "../support/wait-for.ts";

const chromium = findChromium();
if (chromium === undefined) {
  process.stderr.write(
    "\nSKIPPED: no chromium on the PATH, so bull-board is not tried in a browser (apt-get install chromium)\n\n",
  );
}

const EVIL = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>\u202E`;

/** The data of a job. */
interface Charge {
  readonly accountId: number | string;
}

/** As a function: a template escapes what it takes from the data. */
function keyOf({ data }: Job<Charge>): string {
  return `account:${data.accountId}`;
}

describe.skipIf(chromium === undefined)("bull-board in a browser", () => {
  const bench = useBench();
  let browser: Browser;

  beforeAll(async () => {
    browser = await Browser.start(chromium ?? "");
  });
  afterAll(async () => await browser?.close());

  it("shows what parked jobs wait for, and hostile keys and names as text", async () => {
    const redlock = bench.redlock({ ttl: 20_000 });
    const queue = bench.queue();
    const gate = new Gate();
    bench.worker(
      withLock({ redlock, key: keyOf }, async () => await gate.opened),
      { concurrency: 20 },
    );
    onTestFinished(() => gate.open());
    const adapter = new RedlockAdapter(queue, { redlock, dashboard: "/locks" });
    const { url } = await serveBoard(adapter);
    const held = async (key: string) => {
      const inspected = async () => expect((await redlock.inspect(key)).locked).toBe(true);
      await waitFor(inspected);
    };
    const add = async (name: string, accountId: number | string, parked: number) => {
      await queue.add(name, { accountId });
      await waitFor(async () => expect(await queue.getDelayedCount()).toBe(parked));
    };
    await add("charge", 42, 0);
    await held("account:42");
    for (const parked of [1, 2, 3]) await add("charge", 42, parked);
    await add(EVIL, EVIL, 3);
    await held(`account:${EVIL}`);
    await add(EVIL, EVIL, 4);
    const page = await browser.open(`${url}/queue/invoices?status=delayed`);
    onTestFinished(async () => await page.close());
    const links = () =>
      page.evaluate<[text: string, href: string][]>(
        "[...document.querySelectorAll('a[target=_blank][href*=locks]')].map((a) => [a.innerText, a.getAttribute('href')])",
      );
    await waitFor(async () => expect(await links()).toHaveLength(4));
    const shown = (await links()).map(([text]) => text);
    for (const position of ["1st", "2nd", "3rd"])
      expect(shown).toContainEqual(
        expect.stringMatching(`^waits for account:42, ${position} of 3, for `),
      );
    expect(shown).toContainEqual(
      expect.stringMatching(/^waits for account:<img src=x onerror=.*\.\.\., 1st of 1, for /),
    );
    expect((await links()).map(([, href]) => href)).toContain("/locks/key?key=account%3A42");
    expect(await page.evaluate("document.title")).not.toBe("owned");
    expect(await page.evaluate("document.querySelectorAll('img[src=x]').length")).toBe(0);
    for (const width of [1_280, 380]) {
      await page.show({ width });
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(
        await page.evaluate("document.documentElement.clientWidth"),
      );
    }
  });
});
