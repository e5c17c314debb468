import { KNOWN_IN_NODE, REFUSED_IN_NODE } from "../redis/endpoint.ts";
import { NOTHING, type Path, writePath } from "./problem.ts";
import { KNOWN_AT_TOP, KNOWN_IN_RULE } from "./schema.ts";
import { describeKind, describeValue } from "../sentences.ts";

// Messages end up in logs, and masters have passwords, which may stand in a wrong place. So only what has a known place is
// repeated: all else is not, whatever it looks like.

/** Names of options have no digits, and are short; a secret that is taken for a name has some, or is long. */
const NAME = /^[A-Za-z_$-]{1,32}$/;
const NAMES_IN_NODE = [...KNOWN_IN_NODE, ...REFUSED_IN_NODE];

/** Whether a message may repeat what stands at a path: an option of the rules, or for all of them. */
export function mayShow([top, , name]: Path): boolean {
  if (top === "rules") return KNOWN_IN_RULE.includes(String(name));
  return top !== "nodes" && top !== "$schema" && KNOWN_AT_TOP.includes(String(top));
}

/** Whether a message may repeat a name that stands in the object at a path. */
export function mayShowName(name: string, path: Path): boolean {
  const [top] = path;
  if (top === "nodes") return path.length === 2 && NAMES_IN_NODE.includes(name);
  const isOption = path.length === 0 || (top === "rules" && path.length === 2);
  return isOption ? NAME.test(name) : mayShow(path);
}

/** Writes a path for people, up to the first name in it that may not be repeated. */
export function showPath(path: Path): string {
  const end = path.findIndex(
    (step, at) => typeof step === "string" && !mayShowName(step, path.slice(0, at)),
  );
  return writePath(end === -1 ? path : path.slice(0, end));
}

/** Describes what stands at a path. */
export function describeAt(path: Path, value: unknown): string {
  if (value === null || value === NOTHING) return "nothing";
  if (Array.isArray(value) && value.length === 0) return "an empty list";
  return mayShow(path) ? describeValue(value) : describeKind(value);
}
