import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder, writeFakeServer } from "./folders.ts";

/** A Debian package that holds a fake server under this name, if any. */
export interface FakePackage {
  name: string;
  depends?: string;
  server?: { name: string; version?: string; brand?: string };
}

/**
 * Makes a source of Debian packages on this disk and returns the environment in which apt knows only
 * that one. Its configuration also has a hook, which leaves the file `hook-ran` in the folder, and
 * allows unsigned sources.
 * @param options.installed stanzas of packages that this system has beside its own
 */
export async function makePackageSource(
  packages: readonly FakePackage[],
  { trusted = true, installed = [] }: { trusted?: boolean; installed?: readonly string[] } = {},
): Promise<{ folder: string; env: NodeJS.ProcessEnv }> {
  const folder = await makeFolder();
  const stanzas = [];
  for (const each of packages) stanzas.push(await buildPackage(folder, each));
  await writeFile(join(folder, "Packages"), stanzas.join("\n"));
  const host = await readFile("/var/lib/dpkg/status", "utf8");
  await writeFile(join(folder, "status"), [host.trim(), ...installed, ""].join("\n\n"));
  const trust = trusted ? "[trusted=yes] " : "";
  await writeFile(join(folder, "sources.list"), `deb ${trust}file:${folder} ./\n`);
  await writeFile(
    join(folder, "apt.conf"),
    `Dir::Etc::SourceList "${folder}/sources.list";
     Dir::Etc::SourceParts "/dev/null";
     Dir::State::status "${folder}/status";
     APT::Update::Post-Invoke { "touch ${folder}/hook-ran"; };
     APT::Get::AllowUnauthenticated "true";
     Acquire::AllowInsecureRepositories "true";\n`,
  );
  return { folder, env: { APT_CONFIG: join(folder, "apt.conf") } };
}

async function buildPackage(
  folder: string,
  { name, depends, server }: FakePackage,
): Promise<string> {
  const tree = join(folder, name);
  await mkdir(join(tree, "DEBIAN"), { recursive: true, mode: 0o755 });
  if (server !== undefined) await writeFakeServer(join(tree, "usr/bin", server.name), server);
  const control =
    `Package: ${name}\nVersion: 1:99\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n` +
    `${depends === undefined ? "" : `Depends: ${depends}\n`}Description: a fake for tests\n`;
  await writeFile(join(tree, "DEBIAN/control"), control);
  const file = `${tree}.deb`;
  execFileSync("dpkg-deb", ["--root-owner-group", "--build", tree, file], { stdio: "pipe" });
  const sha256 = createHash("sha256")
    .update(await readFile(file))
    .digest("hex");
  const { size } = await stat(file);
  return `${control}Filename: ./${name}.deb\nSize: ${size}\nSHA256: ${sha256}\n`;
}
