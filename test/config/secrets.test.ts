import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { defineLocks, type LockRules, type LockRulesError } from "../../src/config/index.ts";
import { LockConfigError } from "../../src/errors.ts";
import { Redlock } from "../../src/redlock/redlock.ts";
import { errorOf } from "./support.ts";

/** The text in every secret here. It has digits, because a word without digits may be the name of an option. */
const SECRET = "s3cr3t9";
const RULES = 'rules:\n- key: "{{dta.x}}"\n';

/** All texts of an error. */
function textsOf(error: unknown): string {
  const { message, stack, problems, path, found, expected } = error as LockRulesError;
  return JSON.stringify([message, stack, problems, path, found, expected, String(error)]);
}

describe("a secret in nodes", () => {
  it.each(
    [
      "@X,%X,`X,*X,!X,!!str X,!<X> a,&p X,&X,|X,'X,\"X,00X,X two words,X: 1,X # X,# X,? X,- X".split(
        ",",
      ),
      ["[X]", "{X: 1}", "{a: X}", ">-\n    X", '"\\q X"', "\n  X", "\t X", "X\u2028", ", X"],
      ["${X}", "${a-X}", "{{X}}", "<% X %>"],
    ].flat(),
  )("is not shown when it is written as %s", async (form) => {
    const value = form.replaceAll("X", SECRET);
    for (const text of [
      `nodes:\n- host: h\n  password: ${value}\n  port: x\n${RULES}`,
      `nodes:\n- host: h\n  "pass\\x77ord": ${value}\n  port: x\n${RULES}`,
      `nodes: [{host: h, password: ${value}, port: x}]\n${RULES}`,
      `nodes:\n- ${value}\n${RULES}`,
      `nodes: ${value}\n${RULES}`,
      `nodes:\n- host: h\n  tls: {key: ${value}}\n  port: x\n${RULES}`,
      `nodes:\n- {host: h, ${value}}\n- port: ${value}\n${RULES}`,
      `nodes:\n- {host: h}\nredis: {password: ${value}}\n${RULES}`,
      `nodes: [redis://h]\nrules:\n- key: a\n  nodes: [${value}]\n- ${value}\n`,
      `{"nodes": [{"host": "h", "password":${value}}]}`,
    ]) {
      for (const name of ["rules.yaml", "rules.json"]) {
        const error = await errorOf(text, {}, name);
        if (error !== undefined) expect(textsOf(error)).not.toContain(SECRET);
      }
    }
  });

  it.each([
    `- u:${SECRET}@a:1`,
    `- ${SECRET}:u@a`,
    `- redis://u:1234/${SECRET}@h`,
    `- redis://${SECRET}\n- redis://${SECRET}`,
    `- {host: ${SECRET}, port: 0}`,
    `- {port: 0} # ${SECRET}`,
    `- {path: {a: ${SECRET}}, keyPrefix: ${SECRET}, monitor: ${SECRET}, db: ${SECRET}}`,
    `- {sentinels: ${SECRET}, cluster: ${SECRET}}`,
    `- {password: ${SECRET}, password: ${SECRET}, <<: ${SECRET}}`,
    `- {password: &p ${SECRET}, port: x}\nprefix: *p\nttl: *p`,
    `# ${SECRET}\n- 5`,
    `- {path: "redis://:${SECRET}@h:1"}`,
    `- {path: ":${SECRET}@h:1"}`,
    `- {host: "redis://:${SECRET}@h:1"}`,
    `- {host: ":${SECRET}@h"}`,
    `- {host: "h?password=${SECRET}"}`,
    `- {url: "redis://h:1", host: "h/${SECRET}"}`,
  ])("is not shown in %j", async (nodes) => {
    const error = await errorOf(`# ${SECRET}\nnodes:\n${nodes}\n${RULES}`);
    expect(error?.problems.length).toBeGreaterThan(1);
    expect(textsOf(error)).not.toContain(SECRET);
  });

  it("is missing when only an anchor or a comment is written", async () => {
    for (const value of ["", "&x", "# x"]) {
      const text = `nodes:\n- host: h\n  password: ${value}\nrules:\n- key: a\n`;
      const [problem] = (await errorOf(text))?.problems ?? [];
      expect(problem).toMatchObject({ line: 3, path: "nodes[0].password", found: "nothing" });
    }
    expect(await errorOf("nodes: [{host: h, password: null}]\nrules: [{key: a}]")).toBe(undefined);
  });

  it("is not shown in code", () => {
    const url = `redis://:${SECRET}@a`;
    const [any, entry] = [`${url},redis://b` as never, { port: SECRET, host: SECRET } as never];
    for (const make of [
      () => new Redlock(url as never),
      () => new Redlock({ nodes: any }),
      () => new Redlock({ nodes: [entry] }),
      () => new Redlock({ nodes: [`u:${SECRET}@a:1`] }),
      () => new Redlock({ nodes: [`${SECRET}:u@a`] }),
      () => new Redlock({ nodes: [`redis://u:1234/${SECRET}@h`] }),
      () => new Redlock({ nodes: [{ host: "h", tls: SECRET as never }] }),
      () => new Redlock({ nodes: [{ host: "h", [SECRET]: 1 } as never] }),
      () => new Redlock({ nodes: [{ host: `redis://:${SECRET}@h:1` }] }),
      () => new Redlock({ nodes: [{ host: `:${SECRET}@h` }] }),
      () => new Redlock({ nodes: [{ path: `redis://:${SECRET}@h:1` }] }),
      () => new Redlock({ nodes: [{ url: "redis://a", host: SECRET }] }),
      () => new Redlock({ nodes: [new URL(`http://:${SECRET}@h`)] }),
      () => defineLocks(url as never),
      () => defineLocks({ nodes: any, rules: [{ key: "a" }] }),
      () => defineLocks({ nodes: [entry], rules: [{ key: "a" }] }),
      () => defineLocks({ nodes: ["redis://h"], rules: [{ key: "a" }] }, url as never),
      () => defineLocks({} as LockRules, { redlock: url as never }),
    ]) {
      let error: unknown;
      try {
        make();
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(LockConfigError);
      expect(textsOf(error)).not.toContain(SECRET);
    }
  });

  it("is not shown in any message about a randomly damaged file", async () => {
    const around = fc.constantFrom(
      "",
      ..."@ % ` * ! & | > ' \" # \\ / ? - : , [ ] { } ~ $".split(" "),
      "a ",
      ": ",
      " #",
      "\\x",
    );
    const secret = fc.tuple(around, around).map(([before, after]) => before + SECRET + after);
    const form = fc.constantFrom<(secret: string) => string>(
      (secret) =>
        `nodes:\n  - host: h\n    password: ${secret}\n    port: x\n  - redis://:${secret}@b\n${RULES}`,
      (secret) =>
        `nodes:\n- redis://u:${secret}@a\n- {host: b, username: "${secret}", tls: {ca: '${secret}'}}\n${RULES}`,
      (secret) =>
        `nodes: [{host: a, password: ${secret}}, "redis://${secret}@b", ${secret}]\n${RULES}`,
      (secret) => `prefix: 5\nnodes:\n- ${secret}\n- url: ${secret}\n  ${secret}: 1\n${RULES}`,
      (secret) =>
        JSON.stringify({
          nodes: [{ host: "h", password: secret, port: "x" }, secret],
          rules: [{}],
        }),
      (secret) =>
        JSON.stringify({ ttl: 5, nodes: [`redis://:${secret}@h`, { [secret]: secret }] }, null, 1),
    );
    const piece = fc.constantFrom(
      ..."\n \t : , - ' \" [ ] { } # & * ! | > ? % @ ` \\ ${A} nodes: 1 --- << ~".split(" "),
      "\n",
      "\n  ",
      ": ",
      " #",
    );
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      gone: fc.nat(6),
      put: piece,
    });
    let reported = 0;
    await fc.assert(
      fc.asyncProperty(
        form,
        secret,
        fc.array(edit, { maxLength: 4 }),
        fc.boolean(),
        async (write, secret, edits, isJson) => {
          let text = write(secret);
          for (const { at, gone, put } of edits) {
            const from = Math.floor(at * text.length);
            text = text.slice(0, from) + put + text.slice(from + gone);
          }
          const error = await errorOf(text, {}, isJson ? "rules.json" : "rules.yaml");
          if (error === undefined) return;
          reported += error.problems.length;
          expect(textsOf(error)).not.toContain(SECRET);
        },
      ),
      { numRuns: 600 },
    );
    expect(reported).toBeGreaterThan(600);
  });
});
