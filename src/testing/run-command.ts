import { execFile } from "node:child_process";

const MAX_OUTPUT = 16 * 1024 * 1024;

/** How a command ended. */
export interface Outcome {
  ok: boolean;
  /** What it printed on both streams; if it could not run or printed nothing, why it failed. */
  output: string;
}

/** Runs a command to its end, for at most `timeout` ms; a failure is an outcome, not an exception. */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: { env: NodeJS.ProcessEnv; timeout: number; cwd?: string },
): Promise<Outcome> {
  return await new Promise((resolve) => {
    execFile(file, args, { ...options, maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      const printed = `${stdout}${stderr}`.trim();
      if (error === null) return resolve({ ok: true, output: printed });
      const late = error.killed === true ? `ended after ${options.timeout} ms; ` : "";
      return resolve({ ok: false, output: late + (printed || error.message) });
    });
  });
}
