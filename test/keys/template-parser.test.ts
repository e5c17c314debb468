import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { displayWidth } from "../../src/display-width.ts";
import { LockConfigError, LockKeyError } from "../../src/errors.ts";
import type { TemplateError } from "../../src/keys/scanner.ts";
import { findTemplateProblems, parse } from "../../src/keys/template-parser.ts";
import { parseTemplate } from "../../src/keys/template.ts";

function problem(template: string): LockConfigError {
  try {
    parse(template);
  } catch (error) {
    expect(error).toBeInstanceOf(LockConfigError);
    return error as LockConfigError;
  }
  throw new Error(`${template} was accepted`);
}

describe("a template with a problem", () => {
  it.each<[template: string, column: number, message: string]>([
    ["", 1, "found an empty template at column 1, expected at least one character"],
    [
      "a:{{dta.orderId}}",
      5,
      'found "dta" at column 5, expected data, name, id, queueName or opts; did you mean "data"?',
    ],
    ["{{queuename}}", 3, 'did you mean "queueName"?'],
    ["{{nama}}", 3, 'did you mean "name"?'],
    ["{{Data.id}}", 3, 'did you mean "data"?'],
    ["{{job.data.id}}", 3, 'leave out "job."'],
    ["{{orderId}}", 3, 'found "orderId" at column 3, expected data, name, id, queueName or opts\n'],
    ["{{}}", 3, 'found "}" at column 3, expected data, name, id, queueName or opts'],
    ["{{ }}", 4, 'found "}" at column 4'],
    ["a:{{data.id", 3, "found {{ without an end at column 3, expected }} after it"],
    ["a:{{data.id}", 12, 'found "}" at column 12, expected ., [, ??, || or }}'],
    ["a:{{", 5, "found the end at column 5"],
    ["{{data.}}", 8, 'found "}" at column 8, expected a name'],
    ["{{data..id}}", 8, 'found "." at column 8, expected a name'],
    ["{{data.odd name}}", 12, 'found "n" at column 12, expected ., [, ??, || or }}'],
    ["{{data.a b}}", 10, 'found "b" at column 10'],
    ["{{data[}}", 8, 'found "}" at column 8, expected an index, *, or a quoted name'],
    ["{{data[-1]}}", 8, 'found "-" at column 8'],
    ["{{data[01]}}", 9, 'found "1" at column 9, expected ]'],
    ["{{data[a]}}", 8, 'found "a" at column 8'],
    ['{{data["a]}}', 8, "found a quote without an end at column 8"],
    [
      "{{data['a\\n']}}",
      8,
      String.raw`found an unknown escape between quotes at column 8, expected \\ or \'`,
    ],
    ["{{data[*}}", 9, 'found "}" at column 9, expected ]'],
    [
      "{{name.length}}",
      7,
      "found a part of name at column 7, expected name alone, because it is a string",
    ],
    ["{{id[0]}}", 5, "found a part of id"],
    [
      "{{data.a ?? }}",
      13,
      'found "}" at column 13, expected data, name, id, queueName or opts; or a default: a quoted string',
    ],
    [
      "{{data.a ?? eu}}",
      13,
      'found "eu" at column 13, expected data, name, id, queueName or opts; or',
    ],
    [
      "{{data.a ?? dta.b}}",
      13,
      'found "dta" at column 13, expected data, name, id, queueName or opts; did you mean "data"?',
    ],
    ["{{data.a ?? 'eu}}", 13, "found a quote without an end at column 13"],
    ['{{data.a ?? ""}}', 13, "found an empty default at column 13"],
    ["{{data.a ?? 1e999}}", 13, "found 1e999 at column 13, expected a finite number"],
    [
      "{{data.a ?? 'x' ?? 'y'}}",
      17,
      'found "?" at column 17, expected }}: a default is never missing',
    ],
    [
      "{{data.a || 1 || data.b}}",
      15,
      'found "|" at column 15, expected }}: a default is never missing',
    ],
    [
      "{{data.a ?? data.b || 'x'}}",
      20,
      "found || beside ?? at column 20, expected one of them in a placeholder",
    ],
    [
      "{{'x' ?? data.a}}",
      3,
      'found "\'" at column 3, expected data, name, id, queueName or opts\n',
    ],
    ["{{lower data.a}}", 3, 'found "lower" at column 3'],
    ["{{lower(data.a}}", 15, 'found "}" at column 15, expected ., [, ??, || or )'],
    ["{{lower(data.a).b}}", 16, 'found "." at column 16, expected }}'],
    ["{{lower(data.a) ?? 'x'}}", 17, 'found "?" at column 17, expected }}'],
    ["{{lower()}}", 9, 'found ")" at column 9, expected data, name, id, queueName or opts'],
    ["{{data.a}}{{data.b}}", 11, "found two values without a separator at column 11"],
    ["{{data.a}}x{{data.b}}", 12, "found two values without a separator at column 12"],
    ["{{data.a}}%{{data.b}}", 12, "found two values without a separator at column 12"],
    ["{{data.a}}ü{{data.b}}", 12, "found two values without a separator at column 12"],
    ["@guard", 1, 'found "@" at column 1, expected another first character: that one is reserved'],
    ["@{{data.a}}", 1, 'found "@" at column 1'],
    ["order:{data.id}", 7, "found a single brace at column 7, expected {{ before a path"],
    ["order:{ id }", 7, "found a single brace at column 7"],
    ["order:{0}", 7, "found a single brace at column 7"],
    [
      "order:data}",
      11,
      "found a single brace at column 11, expected }} behind a path that has {{ before it, or \\} for a brace",
    ],
    ["order:{{data.id}}}", 18, "found a single brace at column 18"],
    ["\\{a}}", 5, "found a single brace at column 5"],
    ["\\{a\\}}", 6, "found a single brace at column 6"],
    ["order:{orderId}", 7, "found a single brace at column 7"],
    [
      "app:${APP_ENV}:{{data.id}}",
      5,
      'found "${APP_ENV}" at column 5, expected no environment in a key: it stands in nodes and prefix, or the producer puts it into the data: {{data.env}}; or \\$ for the text itself',
    ],
    [
      "order:${data.id}",
      7,
      'found "${data" at column 7, expected {{ before a path and }} after it; or \\$',
    ],
    [
      "order:${{ data.a }}",
      7,
      'found "${{" at column 7, expected {{ before a path and }} after it',
    ],
    ["order:$data.a", 7, 'found "$data.a" at column 7, expected {{ before a path and }} after it'],
    ["order:$APP_ENV", 7, 'found "$APP_ENV" at column 7'],
    ["order:$.a", 7, 'found "$.a" at column 7'],
    ["order:$(ENV)", 7, 'found "$(" at column 7'],
    [
      "order:<%= data.a %>",
      7,
      'found "<%=" at column 7, expected {{ before a path and }} after it; or \\<',
    ],
    ["order:%(a)s", 7, 'found "%(" at column 7'],
    ["order:#{data.a}", 8, "found a single brace at column 8"],
    ["data.orderId", 1, "found a path without braces at column 1, expected {{data.orderId}}"],
    ["order:data.items[0].id", 7, "expected {{data.items[0].id}}, or \\. for the dot of a name"],
    ["job.data.orderId", 1, "expected {{data.orderId}}"],
    ["event.data.user_id", 1, "expected {{data.user_id}}"],
    ["input.user_id", 1, "expected {{data.user_id}}"],
    ["[[data.x]]", 3, "expected {{data.x}}, or"],
    ["see data.items[*].x]).", 5, "expected {{data.items[*].x}}, or"],
    ["data[0]", 1, "expected {{data[0]}}, or"],
    ["{{queue}}", 3, 'did you mean "queueName"?'],
    ["{{jobName}}", 3, 'did you mean "name"?'],
    ["{{jobId}}", 3, 'did you mean "id"?'],
    ["{{event.data.a}}", 3, 'did you mean "data"?'],
    ["{{env.APP_ENV}}", 3, 'found "env" at column 3, expected data, name, id, queueName or opts'],
    ["{{data.a?.b}}", 9, 'found "?" at column 9, expected no function but lower(...)'],
    ["{{data.a == 'x'}}", 10, "and no expression: the producer puts the result into the data"],
    ["{{data.a && data.b}}", 10, 'found "&" at column 10, expected no function but lower(...)'],
    ["{{data.a | lower}}", 10, 'found "|" at column 10, expected no function but lower(...)'],
    [
      "{{data.a.toLowerCase()}}",
      3,
      'found "data.a.toLowerCase(" at column 3, expected no function but lower(...)',
    ],
    [
      "{{upper(data.a)}}",
      3,
      'found "upper(" at column 3, expected no function but lower(...) around everything',
    ],
    ["{{hashFiles('x')}}", 3, 'found "hashFiles(" at column 3'],
    ["{{data.a + 1}}", 10, 'found "+" at column 10, expected no function but lower(...)'],
    ["{{data.a[0:7]}}", 11, 'found ":" at column 11, expected ]'],
    ["a\\b", 2, "found a backslash at column 2, expected one of the escapes"],
    ["a\\", 2, "found a backslash at column 2"],
    ["a\\ b", 2, "found a backslash at column 2"],
    ["order:{{data.id}}\n", 18, "found the character U+000A at column 18"],
    ["a\uD83Db", 2, "found the character U+D83D at column 2"],
    ["🙂🙂{{dta}}", 5, 'found "dta" at column 5'],
  ])("%j is refused at column %i", (template, column, message) => {
    const error = problem(template);
    expect(error.path).toBe("key");
    expect(error.message).toContain(message);
    const [, line, caret] = error.message.split("\n");
    expect(line).toBe(`  ${template.replace(/[\p{Cc}\p{Cs}]/gu, "\uFFFD")}`);
    const before = Array.from(template)
      .slice(0, column - 1)
      .join("");
    expect(caret).toBe(`  ${" ".repeat(displayWidth(before))}^`);
  });

  it.each<[template: string, ...problems: [at: number, found: string][]]>([
    [
      "{{dta.x}}:{{data.a}}:{{dat.y}}:{{data.z",
      [2, '"dta"'],
      [23, '"dat"'],
      [31, "{{ without an end"],
    ],
    ["{{data.a}}{{data.b}}-{{x}}", [10, "two values without a separator"], [23, '"x"']],
    ["{data.x}:{{dta}}", [0, "a single brace"], [11, '"dta"']],
    ["a\nb:{{dta}}", [1, "the character U+000A"], [6, '"dta"']],
    ["k:{{data.a\n}}", [10, "the character U+000A"]],
    ["k:{{data.a\n}}:{{dta}}\n", [10, "the character U+000A"], [16, '"dta"']],
    ["a\t:{{data.a🙂}}", [1, "the character U+0009"], [11, '"🙂"']],
    ["@{{dta}}:{{data.x}}", [3, '"dta"']],
    ["{{data.x}}:\\{data.y}"],
  ])("%j has all of its problems reported", (template, ...problems) => {
    expect(findTemplateProblems(template).map(({ at, found }) => [at, found])).toEqual(problems);
  });

  it("is shortened when it is long, with the caret under the problem", () => {
    const [, line = "", caret = ""] = problem(
      `${"a".repeat(500)}{{dta}}${"b".repeat(500)}`,
    ).message.split("\n");
    expect(line.length).toBeLessThan(100);
    expect(line.slice(caret.indexOf("^"))).toMatch(/^dta}}b+\.\.\.$/);
  });

  it.each([undefined, null, 5, {}, ["a"]])("may be no string at all: %j", (value) => {
    const act = () => parseTemplate(value as string);
    expect(act).toThrow(LockConfigError);
    expect(act).toThrow("expected a key template, several, or a function");
  });

  it("throws only LockConfigError; when it parses, rendering throws only LockKeyError", () => {
    const token = fc.constantFrom(
      ..."{ } {{ }} [ ] [*] [0] . ?? || ( ) lower( $ < \" ' \\ : - @ % data name id opts .a .b 1 é 🙂 \uD83D".split(
        " ",
      ),
      " ",
    );
    const job = { id: "1", name: "n", queueName: "q", data: { a: ["x"], b: "y" }, opts: {} };
    let rendered = 0;
    const template = fc.oneof(
      fc.string({ unit: token, maxLength: 12 }),
      fc.string({ unit: "binary" }),
      fc
        .array(
          fc.tuple(
            token,
            fc.constantFrom(
              "data.b",
              "data.a[*]",
              "data.c ?? 1",
              "id",
              "lower(data.c || data.a[*])",
            ),
            token,
          ),
        )
        .map((parts) =>
          parts.map(([before, path, after]) => `${before}{{${path}}}${after}`).join(""),
        ),
    );
    fc.assert(
      fc.property(template, (text) => {
        let parsed;
        const [first] = findTemplateProblems(text);
        try {
          parsed = parseTemplate(text);
          expect(first).toBeUndefined();
        } catch (error) {
          expect(error).toBeInstanceOf(LockConfigError);
          expect(first).toEqual((error as TemplateError).problem);
          return;
        }
        try {
          const keys = parsed(job);
          expect(keys.every((key) => key !== "" && !key.startsWith("@"))).toBe(true);
          expect(keys).not.toHaveLength(0);
          rendered += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(LockKeyError);
        }
      }),
      { numRuns: 1_500 },
    );
    expect(rendered).toBeGreaterThan(30);
  });

  it("takes no quadratic time when it is long", () => {
    const long = `${"a$\\{".repeat(50_000)}x{{data${'["x"]'.repeat(20_000)}}}`;
    expect(parse(long).placeholders[0]?.paths[0]?.steps).toHaveLength(20_000);
    expect(parse(`{{data.a${" ?? data.b".repeat(20_000)}}}`).placeholders[0]?.paths).toHaveLength(
      20_001,
    );
    problem(`{{${"a.".repeat(100_000)}(`);
    problem(`{{data["${'\\"'.repeat(100_000)}`);
  });
});
