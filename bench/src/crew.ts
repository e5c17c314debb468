import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Figures, Scenario } from "./scenario.ts";

/** Milliseconds that one run may take where the scenario says nothing else. */
const LONGEST_RUN = 180_000;

type Message = "ready" | { figures?: Record<string, number | null>; error?: string };

/** A contender of a scenario in a process of its own, so that none pays for the memory and the code of another. */
export class CrewMember {
  readonly contender: string;
  readonly #child: ChildProcess;
  readonly #longestRun: number;

  private constructor(contender: string, child: ChildProcess, longestRun: number) {
    this.contender = contender;
    this.#child = child;
    this.#longestRun = longestRun;
  }

  /** Starts the process; resolves when it is connected and warm. */
  static async start(
    scenario: Scenario,
    contender: string,
    urls: readonly string[],
  ): Promise<CrewMember> {
    const program = fileURLToPath(new URL("subject.js", import.meta.url));
    const child = fork(program, [scenario.name, contender, ...urls], {
      execArgv: process.execArgv,
      serialization: "json",
    });
    const member = new CrewMember(contender, child, scenario.longestRun ?? LONGEST_RUN);
    await member.#next();
    return member;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Measures once. */
  async run(phase: string): Promise<Figures> {
    this.#child.send(phase);
    const message = await this.#next();
    if (message === "ready" || message.figures === undefined) {
      throw new Error(
        `${this.contender}: ${message === "ready" ? "started twice" : message.error}`,
      );
    }
    return Object.fromEntries(
      Object.entries(message.figures).map(([name, value]) => [name, value ?? Infinity]),
    );
  }

  /** Ends the process, whatever it does. */
  end(): void {
    this.#child.kill("SIGKILL");
  }

  #next(): Promise<Message> {
    return new Promise((resolve, reject) => {
      const settle = (settled: () => void) => {
        clearTimeout(timer);
        this.#child.removeAllListeners();
        settled();
      };
      const fail = (what: string) =>
        settle(() => reject(new Error(`${this.contender}: its process ${what}`)));
      const patience = this.#longestRun;
      const timer = setTimeout(() => fail(`said nothing for ${patience} ms`), patience);
      this.#child.on("message", (message: Message) => settle(() => resolve(message)));
      this.#child.on("exit", (code) => fail(`ended with code ${code}`));
    });
  }
}
