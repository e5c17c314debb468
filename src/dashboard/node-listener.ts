import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { DashboardHandler } from "./dashboard.ts";

/** Answers a request of `node:http`, or of a framework with the same objects, such as Express. */
export type NodeListener = (
  request: IncomingMessage,
  response: ServerResponse,
  next?: (error: unknown) => void,
) => Promise<void>;

/**
 * Makes a listener for `node:http`, which is a middleware for Express too. An error of the handler goes to `next` where there is
 * one; else the response has status 500.
 */
export function toNodeListener(handler: DashboardHandler): NodeListener {
  return async (request, response, next) => {
    try {
      const answer = await handler(toRequest(request));
      response.writeHead(answer.status, Object.fromEntries(answer.headers));
      response.end(await answer.text());
    } catch (error) {
      if (next !== undefined) next(error);
      else response.writeHead(500).end();
    }
  };
}

function toRequest(
  request: IncomingMessage & { readonly originalUrl?: string; readonly body?: unknown },
): Request {
  // Express removes the mount path from `url`.
  const { method = "GET", originalUrl = request.url ?? "/", headers, body } = request;
  const fields = Object.entries(headers).flatMap(([name, value]): [string, string][] =>
    // HTTP/2 has its own fields among them.
    value === undefined || name.startsWith(":") ? [] : [[name, String(value)]],
  );
  const init = { method, headers: fields };
  const url = `http://localhost${originalUrl.startsWith("/") ? originalUrl : "/"}`;
  if (method === "GET" || method === "HEAD") return new Request(url, init);
  // A body parser before us has read the form.
  if (request.readableEnded && typeof body === "object" && body !== null) {
    return new Request(url, { ...init, body: new URLSearchParams({ ...body }) });
  }
  return new Request(url, { ...init, body: Readable.toWeb(request), duplex: "half" });
}
