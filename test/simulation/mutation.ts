import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "@babel/parser";
import type { Plugin } from "esbuild";

const sources = fileURLToPath(new URL("../../src", import.meta.url));

/**
 * A change of one statement of the source, which the comment `// @protection <marker>` above it names. It uses none of the
 * source's identifiers, so that they can be renamed.
 */
export interface Mutation {
  readonly marker: string;
  /** What replaces the value that the statement tests, returns, declares or sets; `$` is that value. */
  readonly value?: string;
  /** The changed statement is moved up before so many others. */
  readonly moveUp?: number;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly leadingComments?: readonly { readonly value: string }[];
}

/** Where a node stands: in a list of statements, or of properties. */
interface Marked {
  readonly node: Node;
  readonly siblings: readonly Node[];
}

/** The part of a statement that {@link Mutation.value} replaces. */
const VALUES: Readonly<Record<string, readonly (string | number)[]>> = {
  IfStatement: ["test"],
  ReturnStatement: ["argument"],
  VariableDeclaration: ["declarations", 0, "init"],
  ObjectProperty: ["value"],
};

/** Makes a change of the code. Without a {@link Mutation.value} the statement is left out. */
export function mutated(mutation: Mutation): Plugin {
  const [found, ...others] = filesWith(mutation.marker);
  if (found === undefined || others.length > 0) {
    throw new Error(`src has not exactly one "@protection ${mutation.marker}"`);
  }
  const contents = mutate(readFileSync(found, "utf8"), mutation);
  return {
    name: "mutation",
    setup: (bundle) => {
      bundle.onLoad({ filter: /\.ts$/ }, (loaded) =>
        loaded.path === found ? { contents, loader: "ts" } : undefined,
      );
    },
  };
}

/** The markers of the source, each as often as it stands there. */
export function markers(): string[] {
  return sourceFiles().flatMap(markersIn);
}

function filesWith(marker: string): string[] {
  return sourceFiles().flatMap((path) =>
    markersIn(path).flatMap((other) => (other === marker ? path : [])),
  );
}

function sourceFiles(): string[] {
  const names = readdirSync(sources, { recursive: true, encoding: "utf8" });
  return names.filter((name) => name.endsWith(".ts")).map((name) => join(sources, name));
}

function markersIn(path: string): string[] {
  return Array.from(
    readFileSync(path, "utf8").matchAll(/^ *\/\/ @protection (.*)$/gm),
    ([, marker = ""]) => marker,
  );
}

/** @throws {Error} when no statement that can be changed stands under the marker. */
export function mutate(source: string, { marker, value, moveUp = 0 }: Mutation): string {
  const program = parse(source, { sourceType: "module", plugins: ["typescript"] }).program;
  const marked = find(program, ` @protection ${marker}`);
  if (marked === undefined) throw new Error(`no statement stands under "@protection ${marker}"`);
  const { node, siblings } = marked;
  const text = value === undefined ? "" : changed(source, node, value);
  const index = siblings.indexOf(node);
  const target = siblings[index - moveUp];
  if (target === undefined) throw new Error(`"${marker}" has no ${moveUp} statements before it`);
  const between = source.slice(target.start, node.start);
  return source.slice(0, target.start) + text + between + source.slice(node.end);
}

/** The text of a node with another value. */
function changed(source: string, node: Node, value: string): string {
  const part = VALUES[node.type]?.reduce<unknown>(
    (parent, key) => (parent as Record<string | number, unknown>)[key],
    node,
  ) as Node | undefined;
  if (part === undefined) throw new Error(`${node.type} has no value`);
  const text = value.replaceAll("$", () => source.slice(part.start, part.end));
  return source.slice(node.start, part.start) + text + source.slice(part.end, node.end);
}

/** Finds the node under a comment. */
function find(parent: unknown, comment: string): Marked | undefined {
  if (typeof parent !== "object" || parent === null) return undefined;
  for (const [name, child] of Object.entries(parent)) {
    if (name.endsWith("Comments")) continue;
    if (Array.isArray(child)) {
      const siblings = child as Node[];
      const node = siblings.find((one) =>
        one?.leadingComments?.some(({ value }) => value === comment),
      );
      if (node !== undefined) return { node, siblings };
    }
    const found = find(child, comment);
    if (found !== undefined) return found;
  }
  return undefined;
}
