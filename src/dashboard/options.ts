import {
  refuseUnknownOptions,
  requireFunction,
  requireObject,
  wrongOption,
} from "../check-options.ts";

/** Allows actions on the page, and decides for which requests. */
export interface DashboardActions {
  /**
   * Whether the sender of a request may ask holders to stop, and wake waiters. Anything but `true`, or a promise of it, refuses. It is called for
   * each page of a key, and for each action. It must not read the body of the request.
   */
  authorize: (request: Request) => boolean | Promise<boolean>;
}

/** Options of {@link createDashboard}. */
export interface DashboardOptions {
  /** The path of the page as the handler sees it, such as `/locks`. @defaultValue `/` */
  basePath?: string;
  /** Allows viewers to ask the holder of a key to stop, and to wake the first waiter of a free key. @defaultValue the page is read-only */
  actions?: DashboardActions;
}

/** Checked options. */
export interface Settings {
  /** Without a slash at the end. */
  readonly basePath: string;
  readonly authorize: DashboardActions["authorize"] | undefined;
}

/** Checks the options of `createDashboard`. @throws {LockConfigError} that names the option. */
export function readOptions(options: unknown): Settings {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, ["basePath", "actions"]);
  const { basePath = "/", actions }: Record<string, unknown> = { ...options };
  if (typeof basePath !== "string" || !/^\/[^?#]*$/.test(basePath)) {
    throw wrongOption("basePath", basePath, 'a path such as "/locks"');
  }
  return { basePath: basePath.replace(/\/+$/, ""), authorize: readActions(actions) };
}

function readActions(actions: unknown): Settings["authorize"] {
  if (actions === undefined) return undefined;
  requireObject("actions", actions, "an object with authorize");
  refuseUnknownOptions("actions", actions, ["authorize"]);
  const { authorize } = actions as Partial<DashboardActions>;
  requireFunction(
    "actions.authorize",
    authorize,
    "a function that decides whether a request may act",
  );
  return authorize;
}
