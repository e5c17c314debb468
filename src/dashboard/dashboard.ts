import { LockKeyError, RedlockClosedError } from "../errors.ts";
import { engineOf, type Redlock } from "../redlock/redlock.ts";
import { cancel, FormTokens, wake } from "./actions.ts";
import { History } from "./chart.ts";
import { keyPage } from "./key-page.ts";
import { KeyLists } from "./key-list.ts";
import { HEADERS, layout, messagePage, type Page } from "./layout.ts";
import { type DashboardOptions, readOptions } from "./options.ts";
import { overview, type Sources } from "./overview.ts";

/** Answers a request for a page. Rejects only for unexpected errors, such as an error that `authorize` throws. */
export type DashboardHandler = (request: Request) => Promise<Response>;

/**
 * Makes a web page for operators: keys by number of waiters, one key, the masters, and waits over the last minutes.
 *
 * The page is read-only, unless `actions` allow viewers to ask holders to stop, and to wake waiters. It has no authentication of its own: mount it behind
 * that of your application. The handler listens to the `acquired` event of the `Redlock`, for the chart.
 * @throws {LockConfigError} for an option that cannot work.
 * @example app.use("/locks", authenticate, toNodeListener(createDashboard(redlock, { basePath: "/locks" })));
 * @see docs/dashboard.md
 */
export function createDashboard(
  redlock: Redlock,
  options: DashboardOptions = {},
): DashboardHandler {
  const engine = engineOf(redlock);
  const { basePath, authorize } = readOptions(options);
  const tokens = new FormTokens();
  const waiters = new History();
  const lists = new KeyLists(redlock);
  let waits: History | undefined;
  redlock.on("acquired", ({ waited }) => {
    waits ??= new History();
    waits.add(Date.now(), waited);
  });

  const routes: Readonly<Record<string, Route>> = {
    "": {
      methods: READING,
      answer: (_, query) => {
        const sources: Sources = { engine, lists, waiters, waits };
        return overview(sources, query);
      },
    },
    key: {
      methods: READING,
      answer: async (request, query) => {
        const mayAct = (await authorize?.(request)) === true;
        return await keyPage(engine, query, mayAct ? tokens : undefined);
      },
    },
    cancel: {
      methods: ["POST"],
      answer: (request) => cancel(request, { redlock, authorize, tokens }),
    },
    wake: {
      methods: ["POST"],
      answer: (request) => wake(request, { redlock, authorize, tokens }),
    },
  };

  return async (request) => {
    const { pathname, search, searchParams } = new URL(request.url);
    // Links are relative, so that they lead to the right place behind a proxy that changes the path.
    if (pathname === basePath) {
      return redirect(308, `${basePath.slice(basePath.lastIndexOf("/") + 1)}/${search}`);
    }
    const path = pathname.startsWith(`${basePath}/`) ? pathname.slice(basePath.length + 1) : "?";
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
    const isHead = request.method === "HEAD";
    if (route === undefined) {
      return respond(messagePage(404, "Not found", "There is no such page."), isHead);
    }
    if (!route.methods.includes(request.method)) {
      const page = messagePage(405, "Not allowed", `This page takes ${route.methods[0]}.`);
      return respond(page, isHead, { allow: route.methods.join(", ") });
    }
    const answer = await withErrors(async () => await route.answer(request, searchParams));
    return typeof answer === "string" ? redirect(303, answer) : respond(answer, isHead);
  };
}

interface Route {
  readonly methods: readonly string[];
  /** @returns a page, or the address to redirect to. */
  answer(request: Request, query: URLSearchParams): Promise<Page | string>;
}

const READING = ["GET", "HEAD"];

async function withErrors(answer: () => Promise<Page | string>): Promise<Page | string> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof LockKeyError) return messagePage(400, "Not a key", error.message);
    if (error instanceof RedlockClosedError) return messagePage(503, "Closed", error.message);
    throw error;
  }
}

function respond(page: Page, isHead: boolean, headers: Record<string, string> = {}): Response {
  return new Response(isHead ? null : layout(page), {
    status: page.status ?? 200,
    headers: { ...HEADERS, ...headers },
  });
}

function redirect(status: number, location: string): Response {
  return new Response(null, { status, headers: { ...HEADERS, location } });
}
