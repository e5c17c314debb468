import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { bundled } from "../support/bundle.ts";

const ROOT = join(import.meta.dirname, "../..");
const MAIN = join(ROOT, "demo/main.ts");
const WORKER = join(ROOT, "demo/worker.ts");
/** What `npm start` runs. */
export const AS_STARTED = ["--import", "tsx", MAIN];

/** A run of the demo, as a process of its own. */
export interface Demo {
  child: ChildProcess;
  /** What it has printed on both streams so far. */
  output(): string;
  /** Resolves with the first match of a pattern in what it prints. */
  prints(pattern: RegExp): Promise<RegExpExecArray>;
  /** Resolves with its exit code, or the signal that ended it, and what it printed. */
  ended: Promise<{ code: number | NodeJS.Signals; output: string }>;
}

const started = new Set<ChildProcess>();

/** Starts the demo, bundled unless another program is named; {@link killDemos} ends it. */
export async function startDemo(
  args: readonly string[] = [],
  { env = {}, program }: { env?: NodeJS.ProcessEnv; program?: readonly string[] } = {},
): Promise<Demo> {
  const {
    npm_lifecycle_event: _script,
    NO_COLOR: _noColor,
    FORCE_COLOR: _force,
    ...own
  } = process.env;
  const words = [...(program ?? [await bundled(MAIN, WORKER)]), ...args];
  const child = spawn(process.execPath, words, {
    cwd: ROOT,
    env: { ...own, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.add(child);
  child.once("exit", () => started.delete(child));
  let output = "";
  const watchers = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const look of watchers) look();
    });
  return {
    child,
    output: () => output,
    prints: async (pattern) =>
      await new Promise((resolve, reject) => {
        const look = (): void => {
          const match = pattern.exec(output);
          if (match !== null) resolve(match);
        };
        watchers.add(look);
        child.once("close", () => reject(new Error(`ended without ${pattern}:\n${output}`)));
        look();
      }),
    ended: once(child, "close").then(([code, signal]) => ({ code: code ?? signal, output })),
  };
}

/** Runs the demo to its end. */
export async function runDemo(args: readonly string[] = []) {
  return await (
    await startDemo(args)
  ).ended;
}

/** Kills what still runs; its servers and workers end with it. */
export function killDemos(): void {
  for (const child of started) child.kill("SIGKILL");
}

/** The figures of a row of the table. */
export function rowOf(output: string, label: string): string[] {
  const row = output.split("\n").find((line) => line.startsWith(`  ${label}  `));
  return row === undefined
    ? []
    : row
        .slice(label.length + 2)
        .trim()
        .split(/ {2,}/);
}
