import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { findProgram } from "../../src/testing/search.ts";
import { pickFreePort } from "../../src/testing/free-port.ts";
import { ProcessGuard } from "../../src/testing/process-guard.ts";

/** Where Debian and its kind keep each version, outside of PATH. */
const SHELF = "/usr/lib/postgresql";
const USER = "bullmq";

/** A PostgreSQL server on this machine. */
export interface Postgres {
  /** Of a database that is empty at the start. */
  readonly url: string;
  stop(): Promise<void>;
}

/** The folder with the programs of PostgreSQL; `undefined` where it is not installed. */
export async function findPostgres(): Promise<string | undefined> {
  const versions = await readdir(SHELF).catch(() => []);
  const shelves = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(SHELF, version, "bin"));
  for (const folder of [...shelves, ...(process.env.PATH ?? "").split(delimiter)]) {
    const programs = await Promise.all(
      ["initdb", "postgres"].map((name) => findProgram(name, [folder])),
    );
    if (programs.every((path) => path !== undefined)) return folder;
  }
  return undefined;
}

/** Starts a server on a database of its own, in memory as far as possible, and resolves when it takes connections. */
export async function startPostgres(programs: string): Promise<Postgres> {
  const folder = await mkdtemp(join(tmpdir(), "postgres-"));
  const warden = new ProcessGuard(folder);
  const account = await unprivileged();
  if (account !== undefined) await chown(folder, account.uid, account.gid);
  const data = join(folder, "data");
  const start = (program: string, args: string[]): ChildProcess =>
    spawn(join(programs, program), args, { cwd: folder, ...account, stdio: "pipe" });
  try {
    const initdb = start("initdb", ["-D", data, "-U", USER, "-A", "trust", "--no-sync"]);
    const complaint = collect(initdb);
    const [code] = (await once(initdb, "exit")) as [number | null];
    if (code !== 0) throw new Error(`initdb failed: ${complaint()}`);
    const port = await pickFreePort();
    const settings = ["listen_addresses=127.0.0.1", "fsync=off"].flatMap((one) => ["-c", one]);
    const where = ["-D", data, "-p", String(port), "-k", folder];
    const server = start("postgres", [...where, ...settings]);
    await warden.watch(server.pid!);
    await ready(server);
    return {
      url: `postgres://${USER}@127.0.0.1:${port}/postgres`,
      stop: async () => {
        const exit = once(server, "exit");
        server.kill("SIGQUIT");
        await exit;
        warden.forget(server.pid!);
        await warden.dismiss();
      },
    };
  } catch (error) {
    await warden.dismiss();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function ready(server: ChildProcess): Promise<void> {
  const said = collect(server);
  await new Promise<void>((resolve, reject) => {
    server.once("exit", () => reject(new Error(`postgres ended: ${said()}`)));
    server.stderr!.on("data", () => {
      if (said().includes("ready to accept connections")) resolve();
    });
  });
}

/** Reads what a program prints, so that it can go on printing. */
function collect({ stdout, stderr }: ChildProcess): () => string {
  let text = "";
  for (const stream of [stdout, stderr]) {
    stream!.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
  }
  return () => text.trim();
}

/** PostgreSQL refuses to run as root; whom it shall run as then. */
async function unprivileged(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const accounts = (await readFile("/etc/passwd", "utf8"))
    .split("\n")
    .map((line) => line.split(":"));
  for (const wanted of ["postgres", "nobody"]) {
    const found = accounts.find(([name]) => name === wanted);
    if (found !== undefined) return { uid: Number(found[2]), gid: Number(found[3]) };
  }
  throw new Error("PostgreSQL does not run as root, and there is no user postgres or nobody");
}
