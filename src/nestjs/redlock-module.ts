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
import { refuseUnknownOptions, requireObject } from "../check-options.ts";
import type { LockRules } from "../config/index.ts";
import type { RedlockOptions } from "../redlock/options.ts";
import { Redlock } from "../redlock/redlock.ts";
import { type Made, makeWrap, WRAP } from "./wrap.ts";

/** Options of {@link RedlockModule}: those of a `Redlock`, or a `Redlock`, and rules. */
export interface RedlockModuleOptions extends RedlockOptions {
  /** A rules file, or rules, for `@WithLock()`. Options of a `Redlock` beside it go before those of the rules. @defaultValue none */
  rules?: string | LockRules;
  /** A `Redlock` in place of its options, which the module closes too. @defaultValue a new one */
  redlock?: Redlock;
}

/** How {@link RedlockModule.forRootAsync} makes its options of other providers. */
export interface RedlockModuleAsyncOptions extends Pick<ModuleMetadata, "imports"> {
  /** The tokens of what `useFactory` is given. @defaultValue none */
  inject?: NonNullable<FactoryProvider["inject"]>;
  /** Makes the options. */
  useFactory: FactoryProvider<RedlockModuleOptions>["useFactory"];
}

/** The token of {@link Made}. */
const MADE = Symbol("Redlock and rules");

/**
 * Has the one `Redlock` of an application: for {@link InjectRedlock} and {@link WithLock} in all of its modules.
 *
 * When the application closes, it closes the workers of all `@Processor` classes and then the `Redlock`, in whatever order
 * modules are imported: running jobs end under their locks, and none is put back.
 */
@Module({ imports: [DiscoveryModule] })
export class RedlockModule implements OnApplicationShutdown {
  @Inject(Redlock) private readonly redlock!: Redlock;
  @Inject(DiscoveryService) private readonly discovery!: DiscoveryService;

  /**
   * Makes the module, which connects to nothing before the first lock. Import it once.
   * @throws {LockConfigError} or {@link LockRulesError} when the application starts, for options that cannot work.
   */
  static forRoot(options: RedlockModuleOptions = {}): DynamicModule {
    return RedlockModule.forRootAsync({ useFactory: () => options });
  }

  /** As {@link forRoot}, with options that a function makes of other providers. */
  static forRootAsync(options: RedlockModuleAsyncOptions): DynamicModule {
    const { imports = [], inject = [], useFactory } = options;
    return {
      module: RedlockModule,
      global: true,
      imports,
      providers: [
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

  /** Called by Nest when its servers are closed, before or after the workers are. */
  async onApplicationShutdown(): Promise<void> {
    const hosts = this.discovery
      .getProviders()
      .map(({ instance }): unknown => instance)
      .filter((instance) => instance instanceof WorkerHost);
    // Nest closes them too, in an order of each version; closing twice is closing once. A host that was never registered
    // has no worker, and throws.
    await Promise.allSettled(hosts.map(async ({ worker }) => await worker.close()));
    await this.redlock.close();
  }
}

async function make(given: RedlockModuleOptions): Promise<Made> {
  requireObject("options", given, "an object of options");
  const { rules, redlock, ...options } = given;
  if (redlock !== undefined) {
    refuseUnknownOptions("", given, ["redlock"], "no other option beside redlock");
    return { redlock };
  }
  if (rules === undefined) return { redlock: new Redlock(options) };
  // The libraries that read rules are loaded only where there are some.
  const { defineLocks, loadLocks } = await import("../config/index.ts");
  const beside = { redlock: options };
  return typeof rules === "string" ? await loadLocks(rules, beside) : defineLocks(rules, beside);
}
