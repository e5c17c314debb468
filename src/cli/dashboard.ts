import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createDashboard, type NodeListener, toNodeListener } from "../dashboard/index.ts";
import { type Command, EXIT, UsageError } from "./command.ts";
import { MASTER_HELP, MASTER_OPTIONS, readingWith, TIMEOUT_HELP } from "./connect.ts";

/** Names by which only this machine reaches itself. */
const LOOPBACK: readonly string[] = ["127.0.0.1", "localhost", "[::1]", "::1"];

export const dashboard: Command = {
  summary: "serve a web page: keys by number of waiters, one key, the masters",
  takes: [...MASTER_OPTIONS, "port", "host"],
  help: `Usage: bullmq-redlock dashboard [options]

Serves a web page until Ctrl-C: keys by number of waiters, one key with its holder,
its wait list and the answer of each master, and the masters. Changes nothing. The
page has no password; only this machine can reach it, unless --host is another
address.

${MASTER_HELP}
  --port NUMBER   the port; default 0, any free port
  --host ADDRESS  the address; default 127.0.0.1
${TIMEOUT_HELP}
  --json          write JSON: { "url": ... }

  bullmq-redlock dashboard --port 8080

Exit code: 0 ended by SIGINT or SIGTERM; 2 wrong command line or rules file.`,
  async run(invocation) {
    const { operands, options, out, notes } = invocation;
    if (operands.length > 0) throw new UsageError("dashboard takes options only");
    const { host = "127.0.0.1", port: text = "0" } = options;
    const port = Number(text);
    if (!/^\d+$/.test(text) || port > 65_535) {
      throw new UsageError(`--port: found "${text}", expected a whole number from 0 to 65535`);
    }
    return await readingWith(invocation, async ({ redlock }) => {
      const isLocal = LOOPBACK.includes(host);
      const listener = toNodeListener(createDashboard(redlock));
      const server = createServer(isLocal ? onlyLocal(listener) : listener);
      const url = await listen(server, host, port);
      const ended = Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
      if (options.json === true) out.json({ url });
      else out.say(`Dashboard: ${url} (Ctrl-C ends it)`);
      if (!isLocal) notes.say("Other machines may reach the page. It has no password.");
      await ended;
      server.close();
      server.closeAllConnections();
      return EXIT.ok;
    });
  },
};

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
