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
import { requireObject } from "../check-options.ts";
import type { Locks, LockRules } from "../config/index.ts";
import { LockConfigError } from "../errors.ts";
import type { RedlockOptions } from "../redlock/options.ts";
import { Redlock } from "../redlock/redlock.ts";
import { makeWrap, WRAP } from "./wrap.ts";

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

/** The token of what the options are made into. */
const MADE = Symbol("Redlock and rules");

/**
 * Has the one `Redlock` of an application: for {@link InjectRedlock} and {@link WithLock} in all of its modules.
 *
 * When the application closes, it closes the workers of all `@Processor` classes and then the `Redlock`, in whatever order
 * modules are imported: running jobs end under their locks, and none is put back.
 */
@Module({ imports: [DiscoveryModule] })
export class RedlockModule implements OnApplicationShutdown {
  readonly #redlock: Redlock;
  readonly #discovery: DiscoveryService;

  constructor(
    @Inject(Redlock) redlock: Redlock,
    @Inject(DiscoveryService) discovery: DiscoveryService,
  ) {
    this.#redlock = redlock;
    this.#discovery = discovery;
  }

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
          useFactory: async (...dependencies: unknown[]) =>
            await make(await useFactory(...dependencies)),
        },
        { provide: Redlock, inject: [MADE], useFactory: ({ redlock }: Made) => redlock },
        {
          provide: WRAP,
          inject: [Redlock, MADE],
          useFactory: (redlock: Redlock, { rules }: Made) => makeWrap(redlock, rules),
        },
      ],
      exports: [Redlock, WRAP],
    };
  }

  /** Called by Nest when its servers are closed, before or after the workers are. */
  async onApplicationShutdown(): Promise<void> {
    const hosts = this.#discovery
      .getProviders()
      .map(({ instance }): unknown => instance)
      .filter((instance) => instance instanceof WorkerHost);
    // Nest closes them too; its order is another one in each version, and closing twice is closing once.
    await Promise.allSettled(hosts.map(closeWorker));
    await this.#redlock.close();
  }
}

interface Made {
  readonly redlock: Redlock;
  readonly rules: Locks | undefined;
}

async function make(given: RedlockModuleOptions): Promise<Made> {
  requireObject("options", given, "an object of options");
  const { rules, redlock, ...options } = given;
  if (redlock !== undefined) {
    const [other] = Object.keys(given).filter((name) => name !== "redlock");
    if (other === undefined) return { redlock, rules: undefined };
    throw new LockConfigError({
      path: other,
      found: "an option beside redlock",
      expected: "a Redlock, or what one is made of",
    });
  }
  if (rules === undefined) return { redlock: new Redlock(options), rules };
  // The libraries that read rules are loaded only where there are some.
  const { defineLocks, loadLocks } = await import("../config/index.ts");
  const locks =
    typeof rules === "string"
      ? await loadLocks(rules, { redlock: options })
      : defineLocks(rules, { redlock: options });
  return { redlock: locks.redlock, rules: locks };
}

/** Rejects for one whose worker was never registered. */
async function closeWorker(host: WorkerHost): Promise<void> {
  await host.worker.close();
}
