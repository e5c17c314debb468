import { readFileSync } from "node:fs";
import { nearest } from "../nearest.ts";
import { printable } from "../printable.ts";
import { readArguments, refuseOtherOptions } from "./arguments.ts";
import { type Command, EXIT, type ExitCode, type Invocation, UsageError } from "./command.ts";
import { reportFailure } from "./failure.ts";

/** The commands. Each is loaded when it is used. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  inspect: async () => (await import("./inspect.ts")).inspect,
  ls: async () => (await import("./ls.ts")).ls,
  waiters: async () => (await import("./waiters.ts")).waiters,
  why: async () => (await import("./why.ts")).why,
  wake: async () => (await import("./wake.ts")).wake,
  hold: async () => (await import("./hold.ts")).hold,
  release: async () => (await import("./release.ts")).release,
  cancel: async () => (await import("./cancel.ts")).cancel,
  dashboard: async () => (await import("./dashboard.ts")).dashboard,
  doctor: async () => (await import("./doctor.ts")).doctor,
  "check-config": async () => (await import("./check-config.ts")).checkConfig,
};

/** Runs a command line. Never rejects. */
export async function run(
  args: readonly string[],
  runtime: Pick<Invocation, "out" | "notes" | "environment">,
): Promise<ExitCode> {
  const { out } = runtime;
  try {
    const { command: name, operands, options } = readArguments(args);
    if (options.version === true) {
      out.say(version());
      return EXIT.ok;
    }
    if (name === undefined || name === "help") {
      const [asked] = operands;
      out.say(asked === undefined ? await overview() : (await find(asked)).help);
      return name === undefined && options.help !== true ? EXIT.usage : EXIT.ok;
    }
    const command = await find(name);
    if (options.help === true) {
      out.say(command.help);
      return EXIT.ok;
    }
    refuseOtherOptions(name, options, command.takes);
    return await command.run({ ...runtime, operands, options });
  } catch (error) {
    // The raw words are searched: parsing them may be what failed.
    const named = args.find((each) => Object.hasOwn(COMMANDS, each));
    return reportFailure(error, named, args.includes("--json"), runtime);
  }
}

async function find(name: string): Promise<Command> {
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load !== undefined) return await load();
  const meant = nearest(name, Object.keys(COMMANDS));
  throw new UsageError(
    `there is no command "${printable(name)}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
  );
}

async function overview(): Promise<string> {
  const commands = await Promise.all(
    Object.entries(COMMANDS).map(
      async ([name, load]) => `  ${name.padEnd(14)}${(await load()).summary}`,
    ),
  );
  return `Usage: bullmq-redlock COMMAND [options]

${commands.join("\n")}

  bullmq-redlock COMMAND --help describes a command, with an example
  bullmq-redlock --version

Output is coloured on a terminal, unless NO_COLOR is set.`;
}

function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
