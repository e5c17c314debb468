import { Inject, Injectable, Module, type Provider } from "@nestjs/common";
import { Test } from "@nestjs/testing";
import type { Job } from "bullmq";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { LockConfigError, Redlock, RedlockClosedError } from "../../src/index.ts";
import { InjectRedlock, RedlockModule, WithLock } from "../../src/nestjs/index.ts";
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
    "Redlock: found another one than that of the rules, expected its options beside the rules",
  );
});

/** A class with a method that locks. */
function locking(...options: Parameters<typeof WithLock>): Provider {
  class Charges {
    @WithLock(...options)
    async process(job: Job<Charge>) {
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
    says: "ttl: found an unknown option, expected no other option beside redlock",
  },
])("refuses at the start what is wrong with options of $of", async ({ module, options, says }) => {
  const starting = start([RedlockModule.forRoot(module)], [locking(options)]);
  await expect(starting).rejects.toThrow(says);
  await expect(starting).rejects.toBeInstanceOf(LockConfigError);
});

it("is named when it is missing", async () => {
  await expect(start([], [locking({ key: "a" })])).rejects.toThrow(/RedlockModule/);
  await expect(start([], [Ledger])).rejects.toThrow(/"?Redlock"?/);
});
