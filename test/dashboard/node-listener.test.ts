import type { IncomingMessage, ServerResponse } from "node:http";
import { describe, expect, it } from "vitest";
import { toNodeListener } from "../../src/dashboard/index.ts";
import { serve } from "./support.ts";

/** Answers with what it was asked. */
async function echo(request: Request): Promise<Response> {
  const { method, url } = request;
  const seen = { method, url, user: request.headers.get("x-user"), body: await request.text() };
  return Response.json(seen, { status: 201, headers: { "x-answer": "yes" } });
}

const listener = toNodeListener(echo);

describe("toNodeListener", () => {
  it("hands on method, path, headers and body of a request of node:http", async () => {
    const url = await serve((request, response) => void listener(request, response));
    const response = await fetch(`${url}/locks/?key=a%20b`, {
      method: "POST",
      headers: { "x-user": "me" },
      body: "reason=é",
    });
    expect([response.status, response.headers.get("x-answer")]).toEqual([201, "yes"]);
    expect(await response.json()).toEqual({
      method: "POST",
      url: "http://localhost/locks/?key=a%20b",
      user: "me",
      body: "reason=é",
    });
  });

  it("takes the whole path, and the form that a parser has read, of Express", async () => {
    const url = await serve((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
        const mounted = Object.assign(request, { originalUrl: `/locks${request.url}`, body });
        setImmediate(() => void listener(mounted, response));
      });
    });
    const body = new URLSearchParams({ reason: "a&b" });
    const response = await fetch(`${url}/cancel?key=k`, { method: "POST", body });
    expect(await response.json()).toMatchObject({
      url: "http://localhost/locks/cancel?key=k",
      body: "reason=a%26b",
    });
  });

  it("gives what the handler throws to next, else answers with 500", async () => {
    const failing = toNodeListener(() => Promise.reject(new Error("no")));
    const errors: unknown[] = [];
    const url = await serve((request, response) => {
      const next = (error: unknown): void => {
        errors.push(error);
        response.writeHead(418).end();
      };
      void failing(request, response, request.url === "/next" ? next : undefined);
    });
    expect((await fetch(url)).status).toBe(500);
    expect((await fetch(`${url}/next`)).status).toBe(418);
    expect(errors).toEqual([new Error("no")]);
  });

  it("does not take a host from the path", async () => {
    let answer = "";
    const request = { method: "GET", url: "//evil.example/key", headers: { ":method": "GET" } };
    const response = {
      writeHead: () => undefined,
      end: (text: string) => {
        answer = text;
      },
    };
    await listener(request as unknown as IncomingMessage, response as unknown as ServerResponse);
    expect(JSON.parse(answer)).toMatchObject({ url: "http://localhost//evil.example/key" });
  });
});
