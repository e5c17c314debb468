import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROGRAMS = fileURLToPath(new URL("programs/", import.meta.url));

/**
 * How old a version must be for it to be installed, in days. A registry may name a version days before all of its caches
 * serve it.
 */
const AGE = 14;

/** What a program printed, and whether it ended well. */
export interface Ran {
  readonly ok: boolean;
  readonly output: string;
}

/** Runs a program to its end, for at most some minutes. */
export async function run(file: string, args: readonly string[], cwd: string): Promise<Ran> {
  // No option of this process, such as a loader, for one that stands for a user's.
  const { NODE_OPTIONS: _, ...env } = process.env;
  try {
    const options = { cwd, env, timeout: 300_000, maxBuffer: 1 << 24 };
    const { stdout, stderr } = await promisify(execFile)(file, args, options);
    return { ok: true, output: stdout + stderr };
  } catch (error) {
    const { stdout = "", stderr = "", message } = error as Error & Partial<Record<string, string>>;
    return { ok: false, output: stdout + stderr === "" ? message : stdout + stderr };
  }
}

/** Runs npm; throws what it said when it fails. */
async function npm(args: readonly string[], cwd: string): Promise<string> {
  const { ok, output } = await run("npm", args, cwd);
  if (!ok) throw new Error(`npm ${args.join(" ")}:\n${output}`);
  return output;
}

/** Folders outside of any project, each as empty as a user's new one; `remove` takes all away. */
export class Folders {
  readonly #home: string;
  readonly #tarball: string;
  readonly #installed = new Map<string, Promise<Folder>>();

  private constructor(home: string, tarball: string) {
    this.#home = home;
    this.#tarball = tarball;
  }

  /** Packs the package, and takes the programs as they are now. */
  static async create(): Promise<Folders> {
    const home = await mkdtemp(join(tmpdir(), "bullmq-redlock-matrix-"));
    await cp(PROGRAMS, join(home, "programs"), { recursive: true });
    const args = ["pack", "--silent", "--pack-destination", home];
    const name = (await npm(args, ROOT)).trim().split("\n").at(-1)!;
    return new Folders(home, join(home, name));
  }

  /** Installs packages into a new folder, once for each name; `"."` is ours. */
  async install(name: string, ...packages: readonly string[]): Promise<Folder> {
    const installed = this.#installed.get(name) ?? this.#install(name, packages);
    this.#installed.set(name, installed);
    return await installed;
  }

  async remove(): Promise<void> {
    await rm(this.#home, { recursive: true, force: true });
  }

  async #install(name: string, packages: readonly string[]): Promise<Folder> {
    const path = join(this.#home, name);
    await mkdir(path);
    await writeFile(join(path, "package.json"), '{ "private": true }\n');
    const wanted = packages.map((spec) => (spec === "." ? this.#tarball : spec));
    const before = new Date(Date.now() - AGE * 86_400_000).toISOString().slice(0, 10);
    const versions = [`--before=${before}`, "--prefer-offline"];
    const options = ["--loglevel=error", "--ignore-scripts", "--no-audit", "--no-fund"];
    await npm(["install", ...versions, ...options, ...wanted], path);
    return new Folder(path, join(this.#home, "programs"));
  }
}

/** A folder with packages. */
export class Folder {
  readonly path: string;
  readonly #programs: string;

  constructor(path: string, programs: string) {
    this.path = path;
    this.#programs = programs;
  }

  /** The version of a package that was installed. */
  async versionOf(name: string): Promise<string> {
    const text = await readFile(join(this.path, "node_modules", name, "package.json"), "utf8");
    return (JSON.parse(text) as { version: string }).version;
  }

  /** Makes a folder within, of ES modules or CommonJS, with programs from `programs/`. */
  async project(
    name: string,
    type: "module" | "commonjs",
    programs: Readonly<Record<string, string>>,
  ): Promise<string> {
    const path = join(this.path, name);
    await mkdir(path);
    await writeFile(join(path, "package.json"), JSON.stringify({ private: true, type }));
    for (const [to, from] of Object.entries(programs)) {
      await cp(join(this.#programs, from), join(path, to));
    }
    return path;
  }
}
