import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createServer } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { Redlock } from "../../src/index.ts";
import { useRedisNodes } from "../support/redis.ts";
import { cli } from "./run-cli.ts";
import { nodesOf } from "./use-masters.ts";

const servers = useRedisNodes(3);

function pathOf(name: string): string {
  return join(import.meta.dirname, "../support/certificates", name);
}

function read(name: string): string {
  return readFileSync(pathOf(name), "utf8");
}

/** Speaks TLS in front of each master, and asks for a client certificate. */
async function secureUrls(): Promise<string[]> {
  return await Promise.all(
    servers.ports.map(async (port) => {
      const certificates = {
        ca: read("ca.pem"),
        cert: read("server.pem"),
        key: read("server.key"),
      };
      const server = createServer({ ...certificates, requestCert: true }, (socket) => {
        const master = connect(port, "127.0.0.1");
        for (const side of [socket, master]) side.on("error", () => side.destroy());
        socket.pipe(master).pipe(socket);
      });
      server.on("tlsClientError", () => undefined);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      onTestFinished(() => void server.close());
      const address = server.address();
      if (address === null || typeof address === "string") throw new Error("expected a port");
      return `rediss://127.0.0.1:${address.port}`;
    }),
  );
}

describe("masters with TLS", () => {
  it("are reached by a command with the files of a client certificate", async () => {
    const masters = nodesOf(await secureUrls());
    const files = ["--cacert", pathOf("ca.pem"), "--cert", pathOf("client.pem")];

    const { code, out } = await cli(["ls", ...masters, ...files, "--key", pathOf("client.key")]);
    expect([code, out]).toEqual([0, expect.stringContaining("no lock")]);

    const strange = await cli(["doctor", ...masters]);
    expect(strange.out).toMatch(
      /SELF_SIGNED_CERT_IN_CHAIN: self-signed .*; its authority is given as tls.ca/,
    );
    const nameless = await cli(["doctor", ...masters, "--cacert", pathOf("ca.pem")]);
    expect(nameless.out).toContain("client certificate");
  });

  it.each([
    [["--cacert", "ca.pem", "--config", "x.yaml"], "--cacert goes with --node or BULLMQ_REDLOCK_N"],
    [["--key", "a.key", "--node", "rediss://h"], "--key: a.key cannot be read (ENOENT)"],
    [["--cert", import.meta.filename, "--node", "rediss://h"], "tls.test.ts is no PEM file"],
    [["--cacert", pathOf("ca.pem"), "--node", "redis://h"], "found no rediss:// master that it"],
  ])("are named with files that cannot be used: %j", async (args, text) => {
    const { code, notes } = await cli(["ls", ...args]);
    expect([code, notes]).toEqual([2, expect.stringContaining(text)]);
  });

  it("take the text of a certificate, not the path of a file", () => {
    const nodes = [{ url: "rediss://h", tls: { ca: "/etc/lock-ca.pem" } }];
    expect(() => new Redlock({ nodes })).toThrow(
      "nodes[0].tls.ca: found another text, expected PEM, which contains",
    );
  });
});
