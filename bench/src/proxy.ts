/** A process that passes bytes between clients and masters, and counts the requests. Started by `counted-masters.ts`. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { RequestCounter } from "./request-counter.ts";

let counted = 0;

async function startProxy(target: URL): Promise<string> {
  const server = createServer((client) => {
    const upstream = connect({ host: target.hostname, port: Number(target.port), noDelay: true });
    const counter = new RequestCounter();
    client.setNoDelay(true);
    client.on("data", (bytes) => {
      counted += counter.count(bytes);
    });
    client.pipe(upstream).pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
  });
  server.listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const targets = process.argv.slice(2).map((url) => new URL(url));
process.send?.(await Promise.all(targets.map(startProxy)));
process.on("message", () => process.send?.(counted));
process.on("disconnect", () => process.exit());
