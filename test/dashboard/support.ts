import { createServer, type RequestListener } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import { createDashboard, type DashboardOptions } from "../../src/dashboard/index.ts";
import type { Redlock } from "../../src/index.ts";
import { MemoryNodes } from "../../src/testing/index.ts";

/** Masters in memory, for the running test. */
export function memoryNodes(): MemoryNodes {
  const masters = new MemoryNodes();
  onTestFinished(async () => await masters.close());
  return masters;
}

/** Asks a dashboard, without a server between. */
export function ask(redlock: Redlock, options?: DashboardOptions) {
  const handler = createDashboard(redlock, options);
  return async (path: string, init: RequestInit = {}) => {
    const response = await handler(new Request(`http://localhost${path}`, init));
    return { response, text: await response.text() };
  };
}

/** The text of a page, without its head and its tags. */
export function wordsOf(page: string): string {
  const [, body = ""] = page.split("<body>");
  return body
    .replaceAll(/<script>.*?<\/script>/gs, "")
    .replaceAll(/<[^>]*>/g, " ")
    .replaceAll(/\s+/g, " ")
    .trim();
}

/** The address of a page of a key. */
export function keyPath(key: string): string {
  return `/key?${new URLSearchParams({ key }).toString()}`;
}

/** Serves on this machine while the test runs, and returns the URL. */
export async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
