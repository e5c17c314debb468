import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createDashboard, type NodeListener, toNodeListener } from "../dashboard/index.ts";
import { UsageError } from "./arguments.ts";
import { EXIT, type ExitCode, type Invocation } from "./command.ts";
import { readingWith } from "./connect.ts";

/** Names by which only this machine reaches itself. */
const LOOPBACK: readonly string[] = ["127.0.0.1", "localhost", "[::1]", "::1"];

export async function dashboard(invocation: Invocation): Promise<ExitCode> {
  const { options, out, notes } = invocation;
  const { host = "127.0.0.1", port: text = "0" } = options;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) {
    throw new UsageError(`--port: found "${text}", expected a whole number from 0 to 65535`);
  }
  return await readingWith(invocation, async (redlock) => {
    const isLocal = LOOPBACK.includes(host);
    const listener = toNodeListener(createDashboard(redlock));
    const server = createServer(isLocal ? onlyLocal(listener) : listener);
    const url = await listen(server, host, port);
    const ended = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
    if (options.json === true) out.json({ url });
    else out.print(`Dashboard: ${url} (Ctrl-C ends it)`);
    if (!isLocal) notes.print("Other machines may reach the page. It has no password.");
    await ended;
    server.close();
    server.closeAllConnections();
    return EXIT.ok;
  });
}

/** Refuses requests for another host name, against DNS rebinding: a site can make its own name resolve to this machine. */
function onlyLocal(listener: NodeListener): NodeListener {
  return async (request, response) => {
    const name = (request.headers.host ?? "").replace(/:\d+$/, "");
    if (LOOPBACK.includes(name)) await listener(request, response);
    else response.writeHead(421).end();
  };
}

/** Starts to listen. @returns the URL. @throws {UsageError} when the address cannot be used. */
async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    const { code } = error as { code?: string };
    throw new UsageError(`--host and --port: ${host}:${port} cannot be used (${code})`);
  }
  const bound = server.address() as AddressInfo;
  return `http://${host.includes(":") ? `[${host}]` : host}:${bound.port}/`;
}
