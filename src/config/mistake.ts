import type { LockConfigError } from "../errors.ts";
import { type Path, readPath } from "./path.ts";

/** Something that is wrong in the rules, wherever they come from. */
export interface Mistake {
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
export function wrongValue(path: Path, found: string, expected: string): Mistake {
  return { path, part: "value", found, expected };
}

/** What an error of the library says, as a mistake below `path`. */
export function toMistake(error: LockConfigError, path: Path = []): Mistake {
  return wrongValue([...path, ...readPath(error.path)], error.found, error.expected);
}
