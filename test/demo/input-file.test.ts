import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { InputFile } from "../../demo/input-file.ts";
import { makeFolder } from "../testing/folders.ts";

test("takes a byte order mark, CRLF, blank lines and a last line without an end", async () => {
  expect(await read('\uFEFF{"a":1}\r\n\r\n  \n[2]\r\n"é"')).toEqual([
    { id: "line-1", data: { a: 1 } },
    { id: "line-4", data: [2] },
    { id: "line-5", data: "é" },
  ]);
});

test("does not break a line at the line separators that JSON allows", async () => {
  expect(await read('"a\u2028b\u2029c"\n1\n')).toEqual([
    { id: "line-1", data: "a\u2028b\u2029c" },
    { id: "line-2", data: 1 },
  ]);
});

test("puts lines together that are longer than what is read at once", async () => {
  const long = "ü".repeat(300_000);
  expect(await read(`"${long}"\n2\n`)).toEqual([
    { id: "line-1", data: long },
    { id: "line-2", data: 2 },
  ]);
});

test("counts the lines that are not JSON and keeps the first ten", async () => {
  const file = await open(["1", ...Array.from({ length: 15 }, () => "no"), "2"].join("\n"));
  expect(await collect(file)).toHaveLength(2);
  expect(file.bad.count).toBe(15);
  expect(file.bad.first.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

async function read(text: string): Promise<unknown[]> {
  return await collect(await open(text));
}

async function collect(file: InputFile): Promise<unknown[]> {
  const jobs: unknown[] = [];
  for await (const job of file.jobs()) jobs.push(job);
  return jobs;
}

async function open(text: string): Promise<InputFile> {
  const path = join(await makeFolder(), "input.jsonl");
  await writeFile(path, text);
  return await InputFile.open(path);
}
