import { join } from "node:path";
import { tryServer } from "./redis-server.ts";
import { runCommand } from "./run-command.ts";
import { findProgram, foldersOnPath, type Step } from "./search.ts";

const INSTALL_TIMEOUT = 600_000;

/** Runs `brew install valkey`, only with consent, because that changes the system. */
export const installWithHomebrew: Step = async (search) => {
  const { env, onProgress } = search;
  const brew = await findProgram("brew", foldersOnPath(search));
  if (brew === undefined) return "no brew on PATH";
  if (env.BULLMQ_REDLOCK_INSTALL !== "brew")
    return "not asked to; BULLMQ_REDLOCK_INSTALL=brew allows `brew install valkey`";
  onProgress("running brew install valkey, once");
  const installed = await runCommand(brew, ["install", "valkey"], {
    env,
    timeout: INSTALL_TIMEOUT,
  });
  if (!installed.ok) return `brew install valkey: ${installed.output.trim()}`;
  const prefix = await runCommand(brew, ["--prefix", "valkey"], { env, timeout: INSTALL_TIMEOUT });
  if (!prefix.ok) return `brew --prefix valkey: ${prefix.output.trim()}`;
  const path = join(prefix.output.trim(), "bin", "valkey-server");
  return await tryServer({ path, source: "homebrew", env: {} });
};
