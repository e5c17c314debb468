import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { LockKeyError } from "../../src/errors.ts";
import type { KeyJob } from "../../src/keys/job.ts";
import { MAX_COMBINATIONS, parseTemplate } from "../../src/keys/template.ts";

function job(data: unknown, rest: Partial<KeyJob> = {}): KeyJob {
  return { id: "42", name: "charge", queueName: "orders", data, opts: { priority: 3 }, ...rest };
}

function render(template: string, data: unknown): string[] {
  return parseTemplate(template)(job(data));
}

function problem(act: () => unknown): LockKeyError {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(LockKeyError);
    return error as LockKeyError;
  }
  throw new Error("nothing was thrown");
}

describe("a template", () => {
  it.each<[string, unknown, string]>([
    ["order:{{data.orderId}}", { orderId: "A-1" }, "order:A-1"],
    ["order:{{ data.orderId }}", { orderId: 1 }, "order:1"],
    ["{{queueName}}/{{name}}/{{id}}/{{opts.priority}}", {}, "orders/charge/42/3"],
    ["user:{{data}}", "octocat", "user:octocat"],
    ["{{data.a.b.c}}", { a: { b: { c: true } } }, "true"],
    ["{{data.items[1].id}}", { items: [{ id: "x" }, { id: "y" }] }, "y"],
    ["{{data[0][1]}}", [["a", "b"]], "b"],
    ['{{data["odd name"].b}}', { "odd name": { b: "c" } }, "c"],
    ["{{data['it\\'s']}}", { "it's": 1 }, "1"],
    ['{{data["a}}b ?? c"]}}', { "a}}b ?? c": 1 }, "1"],
    ["{{data.größe}}:{{data.a-b}}:{{data.2fa}}", { größe: 1, "a-b": 2, "2fa": 3 }, "1:2:3"],
    ["nightly-report", {}, "nightly-report"],
    ["a\\{{b}} \\{c} \\\\d", {}, "a{{b}} {c} \\d"],
    ["\\${a} \\$b \\<%= c %> \\%(d)s data\\.e", {}, "${a} $b <%= c %> %(d)s data.e"],
    ["5$: 100%: a<b \\${{data.a}}", { a: 1 }, "5$: 100%: a<b $1"],
    ["\\\\{{data.a}}", { a: 1 }, "\\1"],
    ["{{data.a}}", { a: -0 }, "0"],
    ["{{data.a}}", { a: 12n }, "12"],
    ["{{data.__proto__}}", JSON.parse('{"__proto__": 7}'), "7"],
  ])("%s gives the expected key", (template, data, key) => {
    expect(render(template, data)).toEqual([key]);
  });

  it("takes the default for a missing value or null only", () => {
    const template = '{{data.geo.region ?? "eu"}}';
    expect(render(template, {})).toEqual(["eu"]);
    expect(render(template, { geo: null })).toEqual(["eu"]);
    expect(render(template, { geo: { region: null } })).toEqual(["eu"]);
    expect(render(template, { geo: { region: 0 } })).toEqual(["0"]);
    expect(render("{{data.a??1.5}}:{{data.b ?? 'it\\'s'}}:{{data.c ?? -1000}}", {})).toEqual([
      "1.5:it's:-1000",
    ]);
    for (const data of [{ geo: { region: "" } }, { geo: "x" }, { geo: { region: {} } }])
      expect(problem(() => render(template, data)).message).toContain("data.geo");
  });

  it.each<[template: string, data: unknown, key: string]>([
    ['{{data.headRef ?? data.ref ?? "none"}}', { headRef: "a", ref: "b" }, "a"],
    ['{{data.headRef ?? data.ref ?? "none"}}', { ref: "b" }, "b"],
    ['{{data.headRef ?? data.ref ?? "none"}}', { headRef: null, ref: null }, "none"],
    ["{{data.headRef??data.ref}}", { ref: 0 }, "0"],
    ["{{data.pr.number ?? data.pr.head.sha ?? id}}", {}, "42"],
    ["{{data.pr.number ?? data.pr.head.sha ?? id}}", { pr: { head: { sha: "f" } } }, "f"],
    ['{{data.headRef || data.ref || "none"}}', { headRef: "", ref: "b" }, "b"],
    ['{{data.headRef || data.ref || "none"}}', { headRef: "", ref: "" }, "none"],
    ['{{data.headRef || "none"}}', {}, "none"],
    // Values, as everywhere else in a template.
    ['{{data.a || "none"}}:{{data.b || "none"}}', { a: 0, b: false }, "0:false"],
    ["{{data.a ?? data.b}}:{{data.b}}", { b: ":" }, "%3A:%3A"],
    ['{{data.a ?? data.b ?? "@x"}}', { b: "@y" }, "%40y"],
  ])("%s of %o takes the first value that is not missing", (template, data, key) => {
    expect(render(template, data)).toEqual([key]);
  });

  it("refuses the last of several paths as it refuses one alone", () => {
    expect(problem(() => render("{{data.a ?? data.b}}", {})).path).toBe("data.b");
    const empty = problem(() => render("{{data.a || data.b}}", { a: "", b: "" }));
    expect(empty.message).toContain("data.b: found an empty string");
    expect(problem(() => render('{{data.a ?? "x"}}', { a: "" })).path).toBe("data.a");
    expect(problem(() => render('{{data.a || "x"}}', { a: {} })).path).toBe("data.a");
    expect(problem(() => render('{{data.a || "x"}}', { a: Number.NaN })).path).toBe("data.a");
    expect(problem(() => render('{{data.a.b || "x"}}', { a: "text" })).path).toBe("data.a");
  });

  it.each<[string, string]>([
    ["Jane@Example.COM", "jane@example.com"],
    ["ÄÖÜẞÉ", "äöüßé"],
    ["ПРИВЕТ", "привет"],
    ["ΟΔΟΣ", "οδοσ"],
    ["οδος", "οδοσ"],
    // Turkish: no locale maps it to an i without a dot.
    ["ISTANBUL", "istanbul"],
    // A script that older versions of Node do not know.
    ["\u{10D50}", "\u{10D50}"],
  ])("writes %j in lower case inside lower(...)", (value, lowered) => {
    expect(render("{{lower(data.a)}}", { a: value })).toEqual([lowered]);
    expect(render("{{ lower( data.b ?? data.a ) }}", { a: value })).toEqual([lowered]);
    expect(render("{{data.a}}", { a: value })).toEqual([value]);
  });

  it("makes the same key of the number 1 and the string 1", () => {
    expect(render("{{data.a}}", { a: 1 })).toEqual(render("{{data.a}}", { a: "1" }));
  });
});

describe("a template with [*]", () => {
  it("gives one key for each element, without duplicates", () => {
    const items = ["b", "a", "b"].map((sku) => ({ sku }));
    expect(render("sku:{{data.items[*].sku}}", { items })).toEqual(["sku:b", "sku:a"]);
    expect(render("{{data[*]}}", [1, 2])).toEqual(["1", "2"]);
  });

  it("reads all paths through an array from the same element", () => {
    const lines = [
      { sku: "a", shop: 1 },
      { sku: "b", shop: 2 },
    ];
    expect(render('{{data.lines[*].shop}}:{{data["lines"][*].sku}}', { lines })).toEqual([
      "1:a",
      "2:b",
    ]);
  });

  it("keeps an inner array with the element it belongs to", () => {
    const orders = [
      { id: 1, skus: ["a", "b"] },
      { id: 2, skus: ["c"] },
    ];
    const keys = ["1:a", "1:b", "2:c"];
    expect(render("{{data.orders[*].id}}:{{data.orders[*].skus[*]}}", { orders })).toEqual(keys);
    expect(
      render("{{data.orders[*].skus[*]}}:{{data.orders[*].id}}", { orders }).map((key) =>
        key.split(":").toReversed().join(":"),
      ),
    ).toEqual(keys);
  });

  it("combines different arrays, each element with each", () => {
    expect(render("{{data.a[*]}}:{{data.b[*]}}", { a: [1, 2], b: ["x", "y"] })).toEqual([
      "1:x",
      "1:y",
      "2:x",
      "2:y",
    ]);
  });

  it("distinguishes elements whose joined texts are equal", () => {
    const keys = render("{{data.a[*]}}:{{data.b[*]}}", { a: [1, 12], b: [23, 3] });
    expect(keys).toEqual(["1:23", "1:3", "12:23", "12:3"]);
  });

  it("walks an array once however many paths go through it", () => {
    const a = Array.from({ length: 10_000 }, (_, index) => ({ x: index % 7, y: index % 2 }));
    expect(render("{{data.a[*].x}}:{{data.a[*].y}}", { a })).toHaveLength(14);
  });

  it("takes the default for an element's part, and once for an array that is missing", () => {
    const template = '{{data.a[*].b ?? "x"}}';
    expect(render(template, { a: [{}, { b: 1 }] })).toEqual(["x", "1"]);
    expect(render(template, { a: null })).toEqual(["x"]);
    expect(problem(() => render(template, { a: [] })).message).toContain("an empty array");
    expect(problem(() => render(template, { a: 5 })).message).toContain("an array");
    expect(render('{{data.a[*].b || "x"}}', { a: [] })).toEqual(["x"]);
    expect(render('{{data.a[*].b || "x"}}', { a: [{ b: "" }, { b: 2 }] })).toEqual(["x", "2"]);
    const inner = '{{data.a[*].id}}:{{data.a[*].b[*] ?? "x"}}';
    expect(render(inner, { a: [{ id: 1 }, { id: 2, b: [3, 4] }] })).toEqual(["1:x", "2:3", "2:4"]);
    expect(problem(() => render(inner, {})).path).toBe("data.a");
  });

  it("takes alternative paths, each with its own arrays", () => {
    const either =
      "{{data.sku ?? data.items[*].sku ?? data.items[*].id}}:{{data.items[*].shop ?? 0}}";
    expect(render(either, { sku: "a" })).toEqual(["a:0"]);
    const items = [{ sku: "b", shop: 1 }, { id: 7 }];
    expect(render(either, { items })).toEqual(["b:1", "7:0"]);
    expect(render(either, { sku: "a", items })).toEqual(["a:1", "a:0"]);
    expect(render("{{data.a[*] ?? data.b[*]}}", { b: [1, 2] })).toEqual(["1", "2"]);
    expect(problem(() => render("{{data.a[*] ?? data.b[*]}}", {})).path).toBe("data.b");
  });

  it("refuses to lock nothing: an array that is empty, anywhere", () => {
    const error = problem(() => render("{{data.a[*].b[*]}}", { a: [{ b: [1] }, { b: [] }] }));
    expect(error.path).toBe("data.a[1].b");
    expect(error.message).toContain("found an empty array, expected at least one element to lock");
    expect(problem(() => render("{{data.a[*]}}:{{data.b[*]}}", { a: [1], b: [] })).path).toBe(
      "data.b",
    );
  });

  it("refuses more than 100 different keys, and counts only different ones", () => {
    const numbers = Array.from({ length: 10_000 }, (_, index) => index);
    const error = problem(() => render("{{data.a[*]}}", { a: numbers }));
    expect(error.message).toContain("data.a: found more than 100 different keys");
    expect(render("{{data.a[*]}}", { a: numbers.map((n) => n % 100) })).toHaveLength(100);
    expect(render("{{data.a[*]}}", { a: numbers.slice(0, 100) })).toHaveLength(100);
  });

  it("refuses too many combinations", () => {
    const a = Array.from({ length: 10_000 }, () => 1);
    const error = problem(() => render("{{data.a[*]}}:{{data.b[*]}}", { a, b: a }));
    expect(error.message).toContain(`more than ${MAX_COMBINATIONS} combinations`);
  });
});

describe("a job that gives no key", () => {
  it.each<[string, unknown, string, string]>([
    ["{{data.a}}", {}, "data.a", "found nothing, expected a string, number or boolean"],
    ["{{data.a}}", { a: undefined }, "data.a", "found nothing"],
    ["{{data.a}}", { a: null }, "data.a", "found null"],
    ["{{data.a}}", { a: {} }, "data.a", "found an object"],
    ["{{data.a}}", { a: [1, 2] }, "data.a", "found an array of 2"],
    ["{{data.a}}", { a: Number.NaN }, "data.a", "found NaN, expected a finite number"],
    ["{{data.a}}", { a: -Infinity }, "data.a", "found -Infinity"],
    ["{{data.a}}", { a: "" }, "data.a", "found an empty string"],
    ["{{data.a}}", { a: () => "x" }, "data.a", "found a function"],
    ["{{data.a}}", { a: Symbol("x") }, "data.a", "found a symbol"],
    ["{{data.a}}", { a: new Date(0) }, "data.a", "found an object"],
    ["{{data}}", undefined, "data", "found nothing"],
    ["{{data.a.b}}", { a: null }, "data.a", 'found null, expected an object with "b"'],
    ["{{data.a[0]}}", {}, "data.a", "found nothing, expected an array"],
    ["{{data.a.b.c}}", { a: {} }, "data.a.b", 'found nothing, expected an object with "c"'],
    ["{{data.a.b}}", { a: 5 }, "data.a", 'found 5, expected an object with "b"'],
    ["{{data.a.length}}", { a: "text" }, "data.a", 'found "text"'],
    ["{{data.a.length}}", { a: [1] }, "data.a", "found an array of 1"],
    ["{{data.a[0]}}", { a: "text" }, "data.a", 'found "text", expected an array'],
    ["{{data.a[0]}}", { a: { 0: 1 } }, "data.a", "found an object, expected an array"],
    ["{{data.a[1]}}", { a: [1] }, "data.a[1]", "found nothing"],
    ["{{data.a[*]}}", { a: [1, null] }, "data.a[1]", "found null"],
    [
      "{{data.a.b}}",
      { a: [{ b: 1 }] },
      "data.a",
      'expected an object with "b", or [*] or [0] before it',
    ],
    ["{{data.a[*]}}", { a: { b: 1 } }, "data.a", "found an object, expected an array"],
    ["{{data.a[*].b}}", { a: [{ b: 1 }, {}] }, "data.a[1].b", "found nothing"],
    ['{{data["odd name"]}}', {}, 'data["odd name"]', "found nothing"],
    ["{{data.toString}}", {}, "data.toString", "found nothing"],
    ["{{data.constructor}}", {}, "data.constructor", "found nothing"],
    ["{{data.constructor.name}}", {}, "data.constructor", "found nothing"],
    ["{{data.__proto__}}", {}, "data.__proto__", "found nothing"],
    ["{{data.__proto__.a}}", Object.create({ a: 1 }), "data.__proto__", "found nothing"],
    ["{{data.a}}", Object.create({ a: 1 }), "data.a", "found nothing"],
    ["{{opts.repeat.key}}", {}, "opts.repeat", "found nothing"],
  ])("%s of %o is refused at %s", (template, data, path, message) => {
    const error = problem(() => render(template, data));
    expect(error.path).toBe(path);
    expect(error.job).toBe("orders:42");
    expect(error.message).toContain(`job orders:42: ${path}: `);
    expect(error.message).toContain(message);
    expect(error.message).toContain(`(key template ${JSON.stringify(template)})`);
  });

  it("names a job without an id", () => {
    const template = parseTemplate("{{id}}");
    expect(problem(() => template(job({}, { id: undefined }))).job).toBe(
      "without an id in queue orders",
    );
  });

  it("turns any error of reading the data into a LockKeyError", () => {
    const cause = new Error("boom");
    const revoked = Proxy.revocable([], {});
    revoked.revoke();
    const throwing = {
      get a(): never {
        throw cause;
      },
    };
    expect(problem(() => render("{{data.a}}", throwing)).cause).toBe(cause);
    problem(() => render("{{data.a}}", { a: revoked.proxy }));
    problem(() => render("{{data.a[*]}}", { a: revoked.proxy }));
    const template = parseTemplate("{{data.a}}");
    problem(() => template(null as unknown as KeyJob));
    const unnamed = {
      get queueName(): never {
        throw cause;
      },
    };
    problem(() => template(unnamed as unknown as KeyJob));
  });
});

describe("values in a key", () => {
  it.each([
    ["octocat/hello-world", "octocat/hello-world"],
    ["3f0c8ad2-8f1e-4a7c-9d59-0a2f6a1f0b11", "3f0c8ad2-8f1e-4a7c-9d59-0a2f6a1f0b11"],
    ["jane.doe+shop@example.com", "jane.doe+shop@example.com"],
    ["Zürich-日本-🙂", "Zürich-日本-🙂"],
    ["2026-11-23T10:00:00Z", "2026-11-23T10%3A00%3A00Z"],
    ["New York", "New%20York"],
    ["100%", "100%25"],
    ["a\n\u0085b", "a%0A%u0085b"],
    ["\uD83D", "%uD83D"],
    ["\uDE42", "%uDE42"],
    ["@octocat", "@octocat"],
  ])("%j reads %j", (value, key) => {
    expect(render("user:{{data.a}}", { a: value })).toEqual([`user:${key}`]);
  });

  it("are escaped where they contain a separator of the template", () => {
    expect(render("{{data.a}}/{{data.b}}", { a: "x/y-z", b: "1-2/3" })).toEqual([
      "x%2Fy-z/1-2%2F3",
    ]);
    for (const separator of "!\"#$&'()*+,-./:;<=>?@[]^_`|}~ ") {
      const text = "$}".includes(separator) ? `\\${separator}` : separator;
      const template = `{{data.a}}${text}{{data.b}}`;
      expect(
        new Set([
          ...render(template, { a: `1${separator}2`, b: "3" }),
          ...render(template, { a: "1", b: `2${separator}3` }),
        ]).size,
      ).toBe(2);
    }
  });

  it("never begin a key with the reserved @", () => {
    expect(render("{{data.a}}", { a: "@types/node" })).toEqual(["%40types/node"]);
    expect(render("{{data.a[*]}}", { a: ["@a", "a@b"] })).toEqual(["%40a", "a@b"]);
    expect(render('{{data.a ?? "@x"}}', {})).toEqual(["%40x"]);
  });

  it("give different keys when they are different", () => {
    const value = fc.oneof(
      fc.string({
        unit: fc.constantFrom(
          "1",
          "%",
          ":",
          "/",
          "-",
          "u",
          "@",
          " ",
          "\uD83D",
          "\uDE42",
          "3A",
          "\n",
        ),
      }),
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom(":", "%"), minLength: 150, maxLength: 200 }),
      fc.integer(),
    );
    const values = fc.tuple(value, value, value);
    const templates = [
      "a:{{data[0]}}:{{data[1]}}:{{data[2]}}",
      "{{data[0]}}/{{data[1]}}-{{data[2]}}",
      "{{data[0]}}@%u{{data[1]}}-:-{{data[2]}}z",
      "{{data[0]}} {{data[1]}}]^{{data[2]}}",
    ].map((text) => parseTemplate(text));
    fc.assert(
      fc.property(values, values, fc.constantFrom(...templates), (left, right, template) => {
        fc.pre([...left, ...right].every((value) => value !== ""));
        const same = left.every((value, index) => String(value) === String(right[index]));
        const [a] = template(job(left));
        const [b] = template(job(right));
        expect(a === b).toBe(same);
        expect(Buffer.from(a ?? "").equals(Buffer.from(b ?? ""))).toBe(same);
      }),
      { numRuns: 2_000 },
    );
  });

  it("give different keys if and only if the values that count are different", () => {
    const value = fc.oneof(
      fc.constantFrom(null, "", "A", "a", ":", "none", "%", "n:"),
      fc.string({ unit: fc.constantFrom("A", "a", ":", "/", "%3A", "É", "ß", "İ") }),
    );
    const operator = fc.constantFrom("??", "||");
    const part = fc.tuple(operator, fc.boolean(), fc.boolean());
    const values = fc.tuple(value, value, value, value);
    let compared = 0;
    fc.assert(
      fc.property(part, part, values, values, (first, second, left, right) => {
        const template = parseTemplate(`${writeChain(first, 0)}:${writeChain(second, 2)}`);
        const [a, b] = [left, right].map((data) => {
          const texts = [chosenOf(first, data.slice(0, 2)), chosenOf(second, data.slice(2))];
          const isKey = texts.every((text) => text !== undefined);
          if (!isKey) problem(() => template(job(data)));
          return isKey ? { texts, keys: template(job(data)) } : undefined;
        });
        if (a === undefined || b === undefined) return;
        compared += 1;
        expect(a.keys[0] === b.keys[0]).toBe(JSON.stringify(a.texts) === JSON.stringify(b.texts));
      }),
      { numRuns: 5_000 },
    );
    expect(compared).toBeGreaterThan(500);
  });

  it("give different keys when only their boundary differs", () => {
    const split = fc.string({ unit: fc.constantFrom("a", ":", "/", "%3A", "@"), minLength: 2 });
    fc.assert(
      fc.property(split, fc.nat(), fc.nat(), fc.constantFrom(":", "/", "@"), (text, i, j, by) => {
        const cut = (at: number) => [text.slice(0, at), text.slice(at + 1)];
        const [left, right] = [i, j].map((n) => cut((n % (text.length - 1)) + 0));
        fc.pre([...(left ?? []), ...(right ?? [])].every((part) => part !== ""));
        const template = `{{data[0]}}${by}{{data[1]}}`;
        expect(render(template, left)[0] === render(template, right)[0]).toBe(
          JSON.stringify(left) === JSON.stringify(right),
        );
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("rendering", () => {
  it("gives usable keys or throws LockKeyError for any data, and changes no prototype", () => {
    const templates = [
      "x:{{data.a}}",
      "{{data[*].a}}:{{data[*].__proto__}}",
      "{{data.a.b[*].c ?? 1}}",
      "{{data}}",
      "{{data.constructor.prototype.a}}",
      '{{data["__proto__"].polluted}}',
    ].map((text) => parseTemplate(text));
    const before = Reflect.ownKeys(Object.prototype).length;
    const anything = fc.anything({
      key: fc.constantFrom("a", "b", "c", "__proto__", "constructor", "toString"),
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withObjectString: true,
      withSparseArray: true,
      withTypedArray: true,
    });
    fc.assert(
      fc.property(anything, fc.constantFrom(...templates), (data, template) => {
        try {
          const keys = template(job(data));
          expect(keys.length).toBeGreaterThan(0);
          for (const key of keys) expect(key).toMatch(/^[^@]/);
        } catch (error) {
          expect(error).toBeInstanceOf(LockKeyError);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(Reflect.ownKeys(Object.prototype)).toHaveLength(before);
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("reads a long value once however many elements there are", () => {
    let reads = 0;
    const big = "x:".repeat(500_000);
    const data = {
      get big() {
        reads += 1;
        return big;
      },
      items: Array.from({ length: 10_000 }, (_, index) => index % 10),
    };
    expect(render("{{data.items[*]}}:{{data.big}}", data)).toHaveLength(10);
    expect(reads).toBe(1);
  });

  it("copes with deep data and long paths", () => {
    const depth = 5_000;
    let data: unknown = "leaf";
    for (let level = 0; level < depth; level++) data = { a: data };
    expect(render(`{{data${".a".repeat(depth)}}}`, data)).toEqual(["leaf"]);
  });

  it("reads only the roots of a job", () => {
    const read = vi.fn<(key: PropertyKey) => void>();
    const watched = new Proxy(job({ a: 1 }), {
      get(target, key) {
        read(key);
        return Reflect.get(target, key) as unknown;
      },
    });
    expect(parseTemplate("{{data.a}}")(watched)).toEqual(["1"]);
    expect(read.mock.calls).toEqual([["data"]]);
  });
});

function lowered(text: string): string {
  return Array.from(text, (each) => each.toLowerCase()).join("");
}

/** An operator, whether there is a default, whether `lower(...)` is around it. */
type Chain = [string, boolean, boolean];

function writeChain([op, hasDefault, lower]: Chain, at: number): string {
  const chain = `data[${at}] ${op} data[${at + 1}]${hasDefault ? ` ${op} "none"` : ""}`;
  return lower ? `{{lower(${chain})}}` : `{{${chain}}}`;
}

/** The value that counts, as documented; `undefined` when there is no key. */
function chosenOf([op, hasDefault, lower]: Chain, all: (string | null)[]): string | undefined {
  const [text] = [...all, ...(hasDefault ? ["none"] : [])].filter(
    (each, index, { length }) =>
      index === length - 1 || !(each === null || (op === "||" && each === "")),
  );
  if (text === undefined || text === null || text === "") return undefined;
  return lower ? lowered(text) : text;
}
