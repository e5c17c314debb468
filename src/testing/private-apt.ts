import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand, type Outcome } from "./run-command.ts";

const COMMAND_WITHIN = 240_000;
const STATUS = "status";

/** An apt that reads the sources and keys of this system and writes only to a folder of ours. */
export interface Apt {
  /** Runs `apt-get` with these arguments. */
  run(...args: string[]): Promise<Outcome>;
  /** Where `download` puts packages. */
  downloads: string;
}

/** Prepares a private apt in this folder, for which `wanted` are not installed, even if this system has them. */
export async function openApt(
  folder: string,
  env: NodeJS.ProcessEnv,
  wanted: readonly string[],
): Promise<Apt> {
  const config = join(folder, "apt.conf");
  const downloads = join(folder, "downloads");
  for (const needed of ["state/lists/partial", "cache/archives/partial", "log", "downloads"])
    await mkdir(join(folder, needed), { recursive: true });
  await writeFile(config, writeAptConfig(folder));
  const options = { cwd: downloads, env: { ...env, LC_ALL: "C" }, timeout: COMMAND_WITHIN };
  const located = await runCommand(
    "apt-config",
    ["shell", "path", "Dir::State::status/f"],
    options,
  );
  const [, path = "/var/lib/dpkg/status"] = /^path='(.+)'$/m.exec(located.output) ?? [];
  const installed = await readFile(path, "utf8");
  await writeFile(join(folder, STATUS), withoutPackages(installed, wanted));
  return {
    downloads,
    run: async (...args) => await runCommand("apt-get", ["-q", "-c", config, ...args], options),
  };
}

/**
 * What is installed on this system, but for some packages: apt would fetch only the very version of them that is
 * installed. The others keep nothing but what they offer: those that need the missing ones would be broken without, and
 * apt refuses to plan on a broken system.
 */
function withoutPackages(status: string, packages: readonly string[]): string {
  const missing = new Set(packages);
  return status
    .split(/\n{2,}/)
    .filter((stanza) => !missing.has(/^Package: (\S+)/m.exec(stanza)?.[1] ?? ""))
    .map((stanza) => stanza.match(OFFERED)?.join("\n") ?? "")
    .join("\n\n");
}

/** The fields of a package in dpkg's status, with their further lines, by which it serves others. */
const OFFERED = /^(?:Package|Status|Architecture|Multi-Arch|Version|Provides):.*(?:\n[ \t].*)*/gm;

/**
 * The configuration of a private apt, read by `-c` after that of the system.
 *
 * The hooks of the system would change it (`docker-clean` deletes its archives, others refresh its
 * catalogues), so they are cleared. The sandbox user could not write to our folder. Signatures are
 * checked even where the system's configuration does not insist.
 */
function writeAptConfig(folder: string): string {
  return `
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke-Stats;
Dir::State "${folder}/state";
Dir::State::status "${folder}/${STATUS}";
Dir::Cache "${folder}/cache";
Dir::Log "${folder}/log";
APT::Sandbox::User "root";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb-src::Sources::DefaultEnabled "false";
Acquire::Retries "2";
`;
}
