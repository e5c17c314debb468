import type { LockConfigError } from "../errors.ts";

/** The way to a value in a rules file: names and indices. */
export type Path = readonly (string | number)[];

/** Something that is wrong in the rules, wherever they come from. */
export interface Problem {
  readonly path: Path;
  /** Whether the name is wrong, or what it has. */
  readonly part: "name" | "value";
  readonly found: string;
  readonly expected: string;
  /** Where in the text of the value, in UTF-16 code units. */
  readonly offset?: number;
}

/** What a name in a rule has when nothing is written behind it: null, which YAML makes of it, would count. */
export const NOTHING = Symbol("nothing");

/** A mistake about a value. */
export function wrongValue(path: Path, found: string, expected: string): Problem {
  return { path, part: "value", found, expected };
}

/** What an error of the library says, as a mistake below `path`. */
export function toProblem(error: LockConfigError, path: Path = []): Problem {
  const steps = Array.from(error.path.matchAll(/\[(\d+)\]|([^.[\]]+)/g), ([, index, name = ""]) =>
    index === undefined ? name : Number(index),
  );
  return wrongValue([...path, ...steps], error.found, error.expected);
}

const WORD = /^[A-Za-z_$][\w$-]*$/;

/** Writes a path for people: `rules[0].ttl`. */
export function writePath(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else if (WORD.test(step)) text += text === "" ? step : `.${step}`;
    else text += `[${JSON.stringify(step)}]`;
  }
  return text;
}

/** Says of paths whether they are at, or below, one of those given. */
export function below(paths: readonly Path[]): (path: Path) => boolean {
  const known = new Set(paths.map(writePath));
  return (path) =>
    known.size > 0 &&
    [path, ...path.map((_, length) => path.slice(0, length))].some((each) =>
      known.has(writePath(each)),
    );
}
