import { WorkerHost } from "@nestjs/bullmq";
import {
  type DynamicModule,
  type FactoryProvider,
  Inject,
  Module,
  type ModuleMetadata,
  type OnApplicationShutdown,
} from "@nestjs/common";
import { DiscoveryModule, DiscoveryService } from "@nestjs/core";
import {
  refuseUnknownOptions,
  refuseValue,
  requireFunction,
  requireObject,
  wrongOption,
} from "../check-options.ts";
import type { LockRules } from "../config/index.ts";
import { REDLOCK_OPTION_NAMES, type RedlockOptions } from "../redlock/options.ts";
import { engineOf, Redlock } from "../redlock/redlock.ts";
import { type Made, makeWrap, WRAP } from "./wrap.ts";

/** Options of {@link RedlockModule}: those of a `Redlock`, or a `Redlock`, and rules. One of `nodes`, `rules` and `redlock` is required. */
export interface RedlockModuleOptions extends RedlockOptions {
  /** A rules file, or rules, for `@WithLock()`. Options of a `Redlock` beside it override those of the rules. @defaultValue none */
  rules?: string | LockRules;
  /** A `Redlock` instead of its options; the module closes it too. @defaultValue a new one */
  redlock?: Redlock;
}

/** How {@link RedlockModule.forRootAsync} makes its options from other providers. */
export interface RedlockModuleAsyncOptions extends Pick<ModuleMetadata, "imports"> {
  /** The tokens of the arguments of `useFactory`. @defaultValue none */
  inject?: NonNullable<FactoryProvider["inject"]>;
  /** Makes the options. */
  useFactory: FactoryProvider<RedlockModuleOptions>["useFactory"];
}

/** The token of {@link Made}; Nest shows its name when `RedlockModule` itself is imported. */
const MADE = Symbol("RedlockModule.forRoot(...)");
/** The token of a number that makes each call different: Nest 10 merges modules with equal metadata. */
const CALL = Symbol("call of forRoot or forRootAsync");
let calls = 0;

/**
 * Holds the one `Redlock` of an application, for {@link InjectRedlock} and {@link WithLock} in all of its modules.
 *
 * When the application closes, it closes the workers of all `@Processor` classes and then the `Redlock`, in any order of imports:
 * running jobs end under their locks, and none is delayed.
 */
@Module({ imports: [DiscoveryModule] })
export class RedlockModule implements OnApplicationShutdown {
  readonly #redlock: Redlock;
  readonly #discovery: DiscoveryService;

  /** Called by Nest. @internal */
  constructor(
    @Inject(MADE) _made: Made,
    @Inject(Redlock) redlock: Redlock,
    @Inject(DiscoveryService) discovery: DiscoveryService,
  ) {
    this.#redlock = redlock;
    this.#discovery = discovery;
    const modules = discovery.getProviders().filter(({ metatype }) => metatype === RedlockModule);
    if (modules.length > 1) {
      refuseValue(
        "RedlockModule",
        `${modules.length} calls of forRoot or forRootAsync`,
        "one: the module serves all others",
      );
    }
  }

  /**
   * Makes the module, which connects to nothing before the first lock. It is made once and serves all modules.
   * @throws {LockConfigError} or {@link LockRulesError} when the application starts, for options that cannot work, and for a
   * second module.
   */
  static forRoot(options: RedlockModuleOptions): DynamicModule {
    return RedlockModule.forRootAsync({ useFactory: () => options });
  }

  /**
   * As {@link forRoot}, with options that a function makes from other providers.
   * @throws {LockConfigError} at once for options that cannot work.
   */
  static forRootAsync(options: RedlockModuleAsyncOptions): DynamicModule {
    const { imports = [], inject = [], useFactory } = checkAsyncOptions(options);
    return {
      module: RedlockModule,
      global: true,
      imports,
      providers: [
        { provide: CALL, useValue: (calls += 1) },
        {
          provide: MADE,
          inject,
          useFactory: async (...given) => await make(await useFactory(...given)),
        },
        { provide: Redlock, inject: [MADE], useFactory: ({ redlock }: Made) => redlock },
        { provide: WRAP, inject: [Redlock, MADE], useFactory: makeWrap },
      ],
      exports: [Redlock, WRAP],
    };
  }

  /** Called by Nest when its servers are closed, before or after it closes workers. */
  async onApplicationShutdown(): Promise<void> {
    const hosts = this.#discovery
      .getProviders()
      .map(({ instance }): unknown => instance)
      .filter((instance) => instance instanceof WorkerHost);
    // Nest closes them too, in an order that depends on its version; closing is idempotent. A host that was never registered has
    // no worker, and throws.
    await Promise.allSettled(hosts.map(async ({ worker }) => await worker.close()));
    await this.#redlock.close();
  }
}

async function make(given: RedlockModuleOptions): Promise<Made> {
  requireObject("options", given, "an object of options");
  const { redlock, ...others } = given;
  if (redlock !== undefined) {
    // Refuses what is no Redlock of this copy.
    engineOf(redlock);
    const [other] = Object.keys(others);
    if (other !== undefined) refuseValue(other, "an option beside redlock", "redlock alone");
    return { redlock };
  }
  refuseUnknownOptions("", given, ["rules", "redlock", ...REDLOCK_OPTION_NAMES]);
  const { rules, ...options } = others;
  if (rules === undefined) {
    if (options.nodes === undefined) {
      const missing = "a list of lock masters, or rules or a redlock";
      const why = "nodes" in options ? "; is an environment variable missing?" : "";
      throw wrongOption("nodes", undefined, `${missing}${why}`);
    }
    return { redlock: new Redlock(options) };
  }
  // The libraries that read rules are loaded only for rules.
  const { defineLocks, loadLocks } = await import("../config/index.ts");
  const beside = { redlock: options };
  return typeof rules === "string" ? await loadLocks(rules, beside) : defineLocks(rules, beside);
}

function checkAsyncOptions(options: unknown): RedlockModuleAsyncOptions {
  requireObject("options", options, "an object of options");
  refuseUnknownOptions("", options, ["imports", "inject", "useFactory"]);
  const given: Partial<RedlockModuleAsyncOptions> = options;
  for (const name of ["imports", "inject"] as const) {
    if (given[name] !== undefined && !Array.isArray(given[name]))
      throw wrongOption(name, given[name], "a list");
  }
  const expected = "a function that makes the options of RedlockModule";
  requireFunction("useFactory", given.useFactory, expected);
  return given as RedlockModuleAsyncOptions;
}
