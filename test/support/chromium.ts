import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { Readable, Writable } from "node:stream";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** The path of a Chromium, if there is one on the PATH. */
export function findChromium(): string | undefined {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly sessionId?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** A Chromium without a window, driven through a pipe by its DevTools protocol. */
export class Browser {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #in: Writable;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #pages = new Map<string, (message: Message) => void>();
  #last = 0;
  #closed: Promise<void> | undefined;

  private constructor(process: ChildProcess, folder: string) {
    this.#process = process;
    this.#folder = folder;
    this.#in = process.stdio[3] as Writable;
    let rest = "";
    (process.stdio[4] as Readable).setEncoding("utf8").on("data", (text: string) => {
      const [last = "", ...whole] = (rest + text).split("\0").reverse();
      rest = last;
      for (const each of whole.reverse()) this.#take(JSON.parse(each) as Message);
    });
  }

  /** Starts a browser with a profile of its own. */
  static async start(path: string): Promise<Browser> {
    const folder = await mkdtemp(join(tmpdir(), "chromium-"));
    const flags = ["--headless=new", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"];
    // Pages of other packages ask for fonts from the web: a test leaves this machine alone.
    flags.push("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1");
    // The sandbox refuses to run as root.
    if (process.getuid?.() === 0) flags.push("--no-sandbox");
    const child = spawn(path, [...flags, `--user-data-dir=${folder}`], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    });
    await once(child, "spawn");
    return new Browser(child, folder);
  }

  /** Opens a tab. */
  async open(url: string, view: View = {}): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const attach = { targetId, flatten: true };
    const { sessionId } = await this.send("Target.attachToTarget", attach);
    const page = new Page(this, String(targetId), String(sessionId));
    this.#pages.set(String(sessionId), (message) => page.take(message));
    for (const domain of ["Page", "Runtime", "Log"]) await page.send(`${domain}.enable`);
    await page.show(view);
    await page.go(url);
    return page;
  }

  /** Sends a command, to a tab if one is named. */
  async send(
    method: string,
    params: object = {},
    sessionId?: string,
  ): Promise<Record<string, unknown>> {
    const id = ++this.#last;
    this.#in.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    const { result, error } = await new Promise<Message>((resolve) => {
      this.#waiting.set(id, resolve);
    });
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  /** Ends it. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const gone = once(this.#process, "close");
    this.#in.write(`${JSON.stringify({ id: ++this.#last, method: "Browser.close" })}\0`);
    await gone;
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #take(message: Message): void {
    if (message.id === undefined) this.#pages.get(message.sessionId ?? "")?.(message);
    else {
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    }
  }
}

/** How a tab is shown. */
export interface View {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly scripts?: boolean;
}

/** A tab. */
export class Page {
  /** Errors of the console, of scripts and of the network, and what the policy of a page has refused. */
  readonly problems: string[] = [];
  readonly #browser: Browser;
  readonly #target: string;
  readonly #session: string;
  #loaded = (): void => undefined;

  constructor(browser: Browser, target: string, session: string) {
    this.#browser = browser;
    this.#target = target;
    this.#session = session;
  }

  async close(): Promise<void> {
    await this.#browser.send("Target.closeTarget", { targetId: this.#target });
  }

  take({ method, params = {} }: Message): void {
    if (method === "Page.loadEventFired") this.#loaded();
    const { entry, type } = params as { entry?: { level: string }; type?: string };
    const isProblem =
      method === "Runtime.exceptionThrown" ||
      (method === "Log.entryAdded" && entry?.level === "error") ||
      (method === "Runtime.consoleAPICalled" && type === "error");
    if (isProblem) this.problems.push(JSON.stringify(params));
  }

  send(method: string, params?: object): Promise<Record<string, unknown>> {
    return this.#browser.send(method, params, this.#session);
  }

  async show({ width = 1_280, height = 900, dark, scripts = true }: View): Promise<void> {
    const size = { width, height, deviceScaleFactor: 1, mobile: width < 600 };
    await this.send("Emulation.setDeviceMetricsOverride", size);
    const features = [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }];
    await this.send("Emulation.setEmulatedMedia", { features });
    await this.send("Emulation.setScriptExecutionDisabled", { value: !scripts });
  }

  /** Resolves when the next page has been loaded. */
  loaded(): Promise<void> {
    return new Promise((resolve) => {
      this.#loaded = resolve;
    });
  }

  async go(url: string): Promise<void> {
    const loaded = this.loaded();
    await this.send("Page.navigate", { url });
    await loaded;
  }

  /** The value of an expression, in the page. */
  async evaluate<T>(expression: string): Promise<T> {
    const options = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", options);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }

  /** Presses a key, or types a text. */
  async type(text: string): Promise<void> {
    const codes: Readonly<Record<string, number>> = { Tab: 9, Enter: 13 };
    const code = codes[text];
    if (code === undefined) {
      await this.send("Input.insertText", { text });
      return;
    }
    const key = { key: text, code: text, windowsVirtualKeyCode: code };
    const typed = text === "Enter" ? { text: "\r" } : {};
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...key, ...typed });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...key });
  }

  /** A picture of what the tab shows, as PNG. */
  async picture(): Promise<Buffer> {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(String(data), "base64");
  }
}
