import { describe, expect, it } from "vitest";
import { LockConfigError, LockKeyError } from "../../src/errors.ts";
import type { KeyJob } from "../../src/keys/job.ts";
import { createLimit } from "../../src/keys/limit.ts";

function limitFor(template: string, data: unknown): unknown {
  const limit = createLimit("limit", template);
  const job: KeyJob = { id: "7", name: "sync", queueName: "calls", data, opts: {} };
  return typeof limit === "function" ? limit(job) : limit;
}

describe("a limit template", () => {
  it.each([
    ["{{data.jobs}}", { jobs: 3 }, 3],
    ["{{data.jobs}}", { jobs: "3" }, 3],
    ["{{data.jobs || data.most || 5}}", {}, 5],
    ['{{data.jobs ?? "4"}}', {}, 4],
    ["{{data.jobs}}0", { jobs: 2 }, 20],
    ["12", {}, 12],
  ])("gives a number: %s of %j", (template, data, limit) => {
    expect(limitFor(template, data)).toBe(limit);
  });

  it.each([
    "abc",
    "-1",
    "1.5",
    "jobs:{{data.jobs}}",
    "{{data.jobs}} jobs",
    '{{data.jobs ?? "many"}}',
    "{{data.jobs || 1.5}}",
  ])("that can never be a number is refused at once: %s", (template) => {
    const create = (): unknown => createLimit("limit", template);
    expect(create).toThrow(LockConfigError);
    expect(create).toThrow(
      `limit: found ${JSON.stringify(template)}, expected a whole number of holders from 1 to 1000, or a template of one such as "{{data.limit}}"`,
    );
  });

  it.each(["0", "1001", "007000"])("with a number out of bounds is refused at once: %s", (text) => {
    expect(() => createLimit("limit", text)).toThrow(
      `limit: found a limit of ${Number(text)}, expected a whole number of holders from 1 to 1000`,
    );
  });

  it.each([
    [{}, "data.jobs: found nothing, expected a string, number or boolean"],
    [{ jobs: "" }, "data.jobs: found an empty string, expected at least one character"],
  ])("names itself where a job has no value: %j", (data, message) => {
    const render = (): unknown => limitFor("{{data.jobs}}", data);
    expect(render).toThrow(LockKeyError);
    expect(render).toThrow(`job calls:7: ${message} (limit template "{{data.jobs}}")`);
  });

  it.each([["5 jobs"], ["@5"], ["a:b"], ["1e3"]])(
    "shows a value that is no number as it is: %s",
    (jobs) => {
      expect(() => limitFor("{{data.jobs}}", { jobs })).toThrow(
        `job calls:7: the limit template gave a limit of ${JSON.stringify(jobs)}, expected a whole number of holders from 1 to 1000`,
      );
    },
  );

  it("gives one number", () => {
    expect(() => limitFor("{{data.jobs[*]}}", { jobs: [1, 2] })).toThrow(
      "the limit template gave an array of 2 as a limit",
    );
  });
});
