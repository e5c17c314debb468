import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { atEndOfFile } from "../support/end-of-file.ts";

/**
 * Makes a folder that every user may use and that goes after the tests of the file: they may run at the same time, and after an await
 * the current one is unknown.
 */
export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "test-of-bullmq-redlock-"));
  atEndOfFile(async () => await rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o777);
  return folder;
}

/** Writes a program of the shell. */
export async function writeProgram(path: string, script: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return path;
}

/** Writes a program that says it is a server of this version. */
export async function writeFakeServer(
  path: string,
  { version = "7.2.4", brand = "Redis" } = {},
): Promise<string> {
  return await writeProgram(path, `echo "${brand} server v=${version} sha=00000000:0 bits=64"`);
}

/** Makes a folder with links to every program on PATH except Redis and Valkey. */
export async function makePathWithoutServers(): Promise<string> {
  const farm = await makeFolder();
  for (const folder of (process.env.PATH ?? "").split(":")) {
    // A folder on PATH need not exist; of two programs with one name the first wins.
    for (const name of await readdir(folder).catch(() => []))
      if (!/redis|valkey/.test(name))
        await symlink(join(folder, name), join(farm, name)).catch(() => undefined);
  }
  return farm;
}
