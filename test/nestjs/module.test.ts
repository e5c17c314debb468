import { Inject, Injectable, Module, type Provider } from "@nestjs/common";
import { Test } from "@nestjs/testing";
import type { Job } from "bullmq";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { LockConfigError, Redlock, RedlockClosedError } from "../../src/index.ts";
import {
  InjectRedlock,
  RedlockModule,
  type RedlockModuleAsyncOptions,
  type RedlockModuleOptions,
  WithLock,
} from "../../src/nestjs/index.ts";
import { useBench } from "../bullmq/support.ts";
import { type Charge, optionsOn, start } from "./support.ts";

const bench = useBench();
/** Masters that no test connects to. */
const nodes = ["redis://a", "redis://b", "redis://c"];

@Injectable()
class Ledger {
  readonly redlock: Redlock;
  readonly same: Redlock;

  constructor(@InjectRedlock() redlock: Redlock, @Inject(Redlock) same: Redlock) {
    this.redlock = redlock;
    this.same = same;
  }
}

it("injects its one Redlock in all modules, by decorator and by class, and closes it", async () => {
  @Module({ providers: [Ledger] })
  class LedgerModule {}
  const app = await start([LedgerModule, RedlockModule.forRoot(optionsOn(bench))]);
  const { redlock, same } = app.get(Ledger);
  expect(same).toBe(redlock);
  await redlock.using("ledger", async () => {
    expect(await bench.redlock().isLocked("ledger")).toBe(true);
  });
  await app.close();
  await expect(redlock.acquire("ledger")).rejects.toThrow(RedlockClosedError);
});

it("makes its options of other providers", async () => {
  const MASTERS = "masters";
  @Module({
    providers: [{ provide: MASTERS, useFactory: () => bench.masterUrls }],
    exports: [MASTERS],
  })
  class ConfigModule {}
  const module = RedlockModule.forRootAsync({
    imports: [ConfigModule],
    inject: [MASTERS],
    useFactory: async (nodes: string[]) => await Promise.resolve({ ...optionsOn(bench), nodes }),
  });
  const app = await start([module], [Ledger]);
  await app.get(Ledger).redlock.using("ledger", async () => await Promise.resolve());
});

it("has the masters of a rules file, and options that go before those of the file", async () => {
  const folder = await mkdtemp(join(tmpdir(), "nestjs-"));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  const file = join(folder, "rules.yaml");
  await writeFile(file, "nodes: [redis://127.0.0.1:1]\nttl: 2s\nrules: [{ key: null }]\n");
  const options = optionsOn(bench);
  const app = await start([RedlockModule.forRoot({ ...options, rules: file })]);
  const lock = await app.get(Redlock).acquire("ledger");
  expect(lock.remaining()).toBeLessThan(1_001);
});

it("takes a Redlock, and closes it", async () => {
  const redlock = new Redlock(optionsOn(bench));
  const app = await start([RedlockModule.forRoot({ redlock })], [Ledger]);
  expect(app.get(Ledger).redlock).toBe(redlock);
  await app.close();
  await expect(redlock.acquire("ledger")).rejects.toThrow(RedlockClosedError);
});

it("lets a testing module override its Redlock", async () => {
  const redlock = new Redlock(optionsOn(bench));
  const module = await Test.createTestingModule({
    imports: [RedlockModule.forRoot({ nodes })],
    providers: [Ledger],
  })
    .overrideProvider(Redlock)
    .useValue(redlock)
    .compile();
  await module.init();
  expect(module.get(Ledger).redlock).toBe(redlock);
  await module.close();
  await expect(redlock.acquire("ledger")).rejects.toThrow(RedlockClosedError);
});

it("refuses to override the Redlock of rules, which would be used all the same", async () => {
  const rules = { nodes, rules: [{ key: null }] };
  const module = Test.createTestingModule({ imports: [RedlockModule.forRoot({ rules })] })
    .overrideProvider(Redlock)
    .useValue(bench.redlock());
  await expect(module.compile()).rejects.toThrow(
    "Redlock: found a Redlock other than that of the rules, expected its options beside the rules",
  );
});

/** A class with a method that locks. */
function locking(...options: Parameters<typeof WithLock>): Provider {
  class Charges {
    @WithLock(...options)
    async process(job: Job<Charge>): Promise<unknown> {
      return await Promise.resolve(job.id);
    }
  }
  return Charges;
}

it.each([
  { of: "the Redlock", module: { nodes, ttl: 1 }, options: { key: "a" }, says: /^ttl: found 1/ },
  {
    of: "a method",
    module: { nodes },
    options: { key: "{{dta.id}}" },
    says: /did you mean "data"/,
  },
  { of: "rules", module: { rules: { nodes: [], rules: [] } }, options: undefined, says: /nodes: / },
  {
    of: "rules that are missing",
    module: { nodes },
    options: undefined,
    says: "rules: found none in RedlockModule, expected rules that say what @WithLock()",
  },
  {
    of: "a Redlock and others",
    module: { redlock: new Redlock({ nodes }), ttl: 1_000 },
    options: { key: "a" },
    says: "ttl: found an option beside redlock, expected redlock alone",
  },
  {
    of: "a Redlock and rules",
    module: { rules: { nodes, rules: [{ key: "a" }] }, redlock: new Redlock({ nodes }) },
    options: undefined,
    says: "rules: found an option beside redlock, expected redlock alone",
  },
  {
    of: "a method with a Redlock",
    module: { nodes },
    options: { key: "a", redlock: new Redlock({ nodes }) },
    says: "redlock: found an option of @WithLock(), expected that of the RedlockModule alone",
  },
  {
    of: "a method as a text",
    module: { nodes },
    options: "account:{{data.accountId}}" as never,
    says: "options: found a text, expected an object of options",
  },
  {
    of: "masters by a wrong name",
    module: { nodez: nodes } as never,
    options: { key: "a" },
    says: 'nodez: found an unknown option, expected "nodes"?',
  },
  {
    of: "masters that are forgotten",
    module: {},
    options: { key: "a" },
    says: "nodes: found nothing, expected a list of lock masters, or rules or a redlock",
  },
  {
    of: "masters of an environment variable that is missing",
    module: { nodes: undefined, redlock: undefined, rules: undefined, ttl: 5_000 },
    options: { key: "a" },
    says: "nodes: found nothing, expected a list of lock masters, or rules or a redlock; is an environment variable missing?",
  },
  {
    of: "masters in one text",
    module: { nodes: "redis://:secret@a,redis://:secret@b" },
    options: { key: "a" },
    says: /^nodes: found a text, expected a list of URLs: split it at its commas$/,
  },
  {
    of: "masters in one text of a list",
    module: { nodes: ["redis://:secret@a,redis://:secret@b"] },
    options: { key: "a" },
    says: /^nodes\[0\]: found several URLs in one text, expected one: split it at its commas$/,
  },
])("refuses at the start what is wrong with options of $of", async ({ module, options, says }) => {
  const given = module as RedlockModuleOptions;
  const starting = start([RedlockModule.forRoot(given)], [locking(options)]);
  await expect(starting).rejects.toThrow(says);
  await expect(starting).rejects.toBeInstanceOf(LockConfigError);
});

it("refuses a Redlock that is none before there is a method that needs it", async () => {
  const starting = start([RedlockModule.forRoot({ redlock: { nodes } as unknown as Redlock })]);
  await expect(starting).rejects.toThrow(
    "redlock: found an object, expected a Redlock of this copy of bullmq-redlock",
  );
});

const useFactory = () => ({ nodes });
it.each([
  [undefined, "options: found nothing, expected an object of options"],
  [{}, "useFactory: found nothing, expected a function that makes the options of RedlockModule"],
  [{ useFactory: { nodes } }, "useFactory: found an object, expected a function"],
  [
    { useClass: Ledger },
    "useClass: found an unknown option, expected one of imports, inject, useFactory",
  ],
  [{ useExisting: "a", useFactory }, "useExisting: found an unknown option, expected one of"],
  [{ inject: "a", useFactory }, 'inject: found "a", expected a list'],
  [{ imports: Ledger, useFactory }, "imports: found a function, expected a list"],
])("refuses forRootAsync(%o)", (options, says) => {
  const make = () => RedlockModule.forRootAsync(options as RedlockModuleAsyncOptions);
  expect(make).toThrow(says);
  expect(make).toThrow(LockConfigError);
});

it.each([
  ["other options", { ttl: 5_000 }],
  ["equal options", {}],
])("refuses to be imported twice, with %s", async (_, more) => {
  @Module({ imports: [RedlockModule.forRoot({ nodes, ...more })], providers: [Ledger] })
  class LedgerModule {}
  const starting = start([LedgerModule, RedlockModule.forRoot({ nodes })]);
  await expect(starting).rejects.toThrow(
    "RedlockModule: found 2 calls of forRoot or forRootAsync, expected one: the module serves all others",
  );
  await expect(starting).rejects.toBeInstanceOf(LockConfigError);
});

it("may be imported by several modules, made once", async () => {
  const module = RedlockModule.forRoot({ nodes });
  @Module({ imports: [module], providers: [Ledger] })
  class LedgerModule {}
  const app = await start([LedgerModule, module], [Ledger]);
  expect(app.get(Ledger, { strict: false }).redlock).toBe(app.get(Redlock));
});

it("makes another module with each call, also for Nest 10, which compares metadata", () => {
  const metadata = [1, 2].map(() => RedlockModule.forRoot({ nodes }));
  const texts = metadata.map(({ providers }) => inspect(providers, { depth: 5 }));
  expect(texts[0]).not.toBe(texts[1]);
});

it("is named when it is missing, and says what is to be imported", async () => {
  await expect(start([], [locking({ key: "a" })])).rejects.toThrow(
    /RedlockModule\.forRoot\(\.\.\.\), imported once, for @WithLock\(\) on process\(\)/,
  );
  await expect(start([], [Ledger])).rejects.toThrow(/"?Redlock"?/);
  await expect(start([RedlockModule])).rejects.toThrow(/RedlockModule\.forRoot\(\.\.\.\)/);
});
